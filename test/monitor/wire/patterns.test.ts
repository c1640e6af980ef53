import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { Pattern, pattern } from '../../../monitor/wire/patterns.ts'
import { GroupFinder } from '../../../monitor/wire/regexp/groups.ts'
import { compileProgram } from '../../../monitor/wire/regexp/program.ts'
import type { GoAnswer } from '../../peers/go-regexp.ts'
import { assertSame } from './pattern-pairs.ts'
import { heldBy } from './turns-in-hand.ts'

const never = new AbortController().signal

type Recorded = { pairs: [question: { pattern: string; text: string; template?: string }, answer: GoAnswer][] }

test("patterns mean what Go's regexp has been recorded to make of them", async () => {
  const { pairs } = JSON.parse(readFileSync(path.join(import.meta.dirname, 'patterns.golden.json'), 'utf8')) as Recorded
  assert.ok(pairs.length > 300)
  for (const [question, answer] of pairs) await assertSame({ ...question, text: Buffer.from(question.text, 'base64') }, answer)
})

for (const { source, because } of [
  { source: 'a(b', because: 'missing closing ): `a(b`' },
  { source: '(?=b)', because: 'invalid or unsupported Perl syntax: `(?=`' },
  { source: '(?<!b)', because: 'invalid or unsupported Perl syntax: `(?<`' },
  { source: '(b)\\1', because: 'invalid escape sequence: `\\1`' },
  { source: '((b{100}){100}){100}', because: 'invalid repeat count: `{100}`' },
  { source: '(?:abcdefgh){1000}(?:abcdefgh){1000}', because: 'expression too large' },
  { source: `${'('.repeat(1001)}${')'.repeat(1001)}`, because: 'expression nests too deeply' },
  { source: '(?P<n>a)|(?P<n>b)', because: 'duplicate capture group name: `n`' },
])
  test(`the configuration refuses ${source.slice(0, 50)} and says why`, () => {
    const { error } = pattern.safeParse(source)
    assert.equal(error?.issues[0]?.message, `must be a regular expression as in RE2: ${because}`)
  })

test('a group may be named as in newer versions of Go', async () => {
  const match = await new Pattern('(?<state>up|down)').match('it is down', never)
  assert.equal(match?.expand('$state!').toString(), 'down!')
})

test('a pattern is printed as it was written', () => {
  assert.equal(JSON.stringify({ expect: pattern.parse('^a+') }), '{"expect":"^a+"}')
})

// A backtracking engine needs more than a minute for the first one.
for (const { source, text, times } of [
  { source: '"status":.*"green"', text: '"status":', times: 29_128 },
  { source: '"status":.*"green"', text: '"status":', times: 116_509 },
  { source: '(x+x+)+y', text: 'x', times: 2 ** 20 },
  { source: '(?:a?){20}(?:a){20}b', text: 'a', times: 2 ** 18 },
])
  test(`${source} is not found in ${text.length * times} bytes of ${text} while the event loop turns`, async () => {
    const compiled = new Pattern(source)
    const body = Buffer.from(text.repeat(times))
    const started = process.cpuUsage()
    const { result, heldMs } = await heldBy(() => compiled.test(body, never))
    const { user, system } = process.cpuUsage(started)
    assert.equal(result, false)
    // What takes a minute, or holds the loop to the end, is far above these.
    assert.ok(user + system < 3e6, `took ${user + system} µs`)
    assert.ok(heldMs < 100, `held the event loop for ${heldMs} ms`)
  })

test('a search that needs seconds gives way to others, and ends when its signal is aborted', async () => {
  const slow = new Pattern('[ab]*a[ab]{1000}c')
  const body = Buffer.from(Array.from({ length: 2 ** 20 }, (_, index) => (Math.imul(index, 0x9e3779b1) & 0x10000 ? 97 : 98)))
  const stop = new AbortController()
  const searches = [1, 2, 3].map(() => slow.test(body, stop.signal).then(String, (error) => (error as Error).message))
  const { result, heldMs } = await heldBy(async () => {
    // Among slow searches a fast one has its turn.
    assert.equal(await new Pattern('b+$').test(body.subarray(0, 1000), never), body[999] === 98)
    return true
  })
  stop.abort(new Error('out of time'))
  assert.equal(result, true)
  assert.ok(heldMs < 100, `held the event loop for ${heldMs} ms`)
  assert.deepEqual(await Promise.all(searches), ['out of time', 'out of time', 'out of time'])
})

test('an automaton that forgets its states finds what one with all states finds', async () => {
  // 2^12 states and more: the cache is emptied, given up, and tried again.
  const random = Buffer.from(Array.from({ length: 30_000 }, (_, index) => (Math.imul(index, 0x9e3779b1) & 0x8000 ? 97 : 98)))
  for (const source of ['a[ab]{12}c', '(?:a[ab]{20}|b[ab]{21})c$', 'x.{200}y', '\\ba.{30}\\b'])
    for (const tail of ['', 'c', `a${'b'.repeat(12)}c`, 'ax'.repeat(300), `${'x'.repeat(500)}y`]) {
      const body = Buffer.concat([random, Buffer.from(tail)])
      const finder = new GroupFinder(compileProgram(source)).search(body)
      let step = finder.next()
      while (!step.done) step = finder.next()
      assert.equal(await new Pattern(source).test(body, never), step.value !== undefined, `${source} with ${tail}`)
    }
})
