import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { startBlackbox } from '../../peers/blackbox.ts'
import { askGo } from '../../peers/go-regexp.ts'
import { listen } from '../checks/servers.ts'
import { startEndpoint } from '../metrics/endpoint-in-hand.ts'
import { readPage } from '../metrics/reading.ts'
import { chosenQuestions, isExempt, randomQuestions } from '../wire/pattern-pairs.ts'

const questions = [...chosenQuestions, ...randomQuestions(400, 2)].filter((question) => question.pattern !== '' && !isExempt(question))
const { answers } = askGo(questions)
const all = questions.map((question, index) => ({ ...question, ...answers[index] }))

/** Pairs whose pattern is valid, since blackbox_exporter refuses a whole file for one that is not. */
const pairs = all.filter(({ error }) => error === undefined).slice(0, 120)

/** Those that a line of a dialogue can ask: its text is one line that matches, and groups go into the answer. */
const lines = all
  .filter(
    ({ expanded = '', template = '', text }) => expanded !== '' && /\$[{\dn]/.test(template) && !/[\r\n]/.test(text.toString('latin1')),
  )
  .slice(0, 20)

const modules = Object.fromEntries([
  ...pairs.map(({ pattern }, index) => [`body${index}`, { prober: 'http' as const, http: { fail_if_body_not_matches_regexp: [pattern] } }]),
  ...lines.map(({ pattern, template }, index) => [
    `line${index}`,
    { prober: 'tcp' as const, timeout: '2s', tcp: { query_response: [{ expect: pattern, send: template }, { expect: '^done' }] } },
  ]),
])

/** Answers `GET /N` with the text of pair N. */
function answerWithBody(socket: Socket): void {
  socket.once('data', (request) => {
    const { text } = pairs[Number(/^GET \/(\d+) /.exec(request.toString())?.[1])] as (typeof pairs)[number]
    socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/octet-stream\r\nContent-Length: ${text.length}\r\n\r\n`)
    socket.end(text)
  })
}

test('120 patterns give the verdicts of a real blackbox_exporter, and their groups go into dialogues as there', async (t) => {
  assert.equal(pairs.length, 120)
  assert.equal(lines.length, 20)
  const web = await listen(t, answerWithBody)
  const blackbox = await startBlackbox(t, modules)
  const { url } = await startEndpoint(t, { probe: { modules, allow: [{ addresses: ['127.0.0.0/8'], ports: ['1-65535'] }] } })
  const probe = async (base: string, module: string, target: string) => {
    const response = await fetch(`${base}/probe?${new URLSearchParams({ module, target })}`)
    const text = await response.text()
    assert.equal(response.status, 200, text)
    const page = readPage(text)
    return { success: page.value('probe_success'), byPattern: page.value('probe_failed_due_to_regex') }
  }
  let matched = 0
  for (const [index, { pattern }] of pairs.entries()) {
    const [theirs, ours] = await Promise.all(
      [blackbox.url, url].map((base) => probe(base, `body${index}`, `http://127.0.0.1:${web}/${index}`)),
    )
    assert.deepEqual(ours, theirs, pattern)
    matched += theirs?.success ?? 0
  }
  assert.ok(matched > 30 && matched < 110, `${matched} match`)
  for (const [index, { text, pattern, expanded = '' }] of lines.entries()) {
    const heard: string[] = []
    const port = await listen(t, (socket) => {
      socket.write(Buffer.concat([text, Buffer.from('\n')]))
      socket.once('data', (bytes) => {
        heard.push(bytes.toString('base64'))
        socket.end('done\n')
      })
    })
    for (const base of [blackbox.url, url])
      assert.deepEqual(await probe(base, `line${index}`, `127.0.0.1:${port}`), { success: 1, byPattern: 0 }, pattern)
    const line = Buffer.concat([Buffer.from(expanded, 'base64'), Buffer.from('\n')]).toString('base64')
    assert.deepEqual(heard, [line, line], pattern)
  }
})
