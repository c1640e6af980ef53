import assert from 'node:assert/strict'
import { test } from 'node:test'
import { statusAnswer } from '../../../agent/cloud/contract/status.ts'
import { CloudFault } from '../../../agent/cloud/fault.ts'
import { createUndiciTransport } from '../../../agent/cloud/undici-transport.ts'
import { systemClock } from '../../../shared/clock.ts'
import { tokenWith, World } from '../../cloud/world.ts'

/** What a terminal, a log or a page would take for more than a letter. */
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u

const sequences = '\u001b[2K\u009b31m\u202e\nRegion joined'
const hostile: Record<string, { headers?: Record<string, string>; body: object }> = {
  'the name of a tag': { body: { state: 'ready', now: 1_800_000_000_000, tags: { [sequences]: 'x' } } },
  'a content type': { headers: { 'content-type': `text/${sequences}` }, body: {} },
}
for (const [where, { headers, body }] of Object.entries(hostile)) {
  test(`escape sequences in ${where} of an answer come into no status and no line of the log`, async () => {
    const world = new World()
    world.give(tokenWith())
    world.onTheWay = async () => ({
      status: 200,
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
    await world.until(world.link(), 'Claiming', { steps: 3 })
    assert.equal(world.content.status?.reason, 'InvalidAnswer')
    for (const text of [world.content.status?.message, ...world.lines.map(({ message }) => message)])
      assert.doesNotMatch(String(text), unseen)
  })
}

test('whatever a fault quotes, its message is one bounded line', () => {
  const { message } = new CloudFault('unreachable', `for: DNS:${sequences}${'a'.repeat(100_000)}`)
  assert.doesNotMatch(message, unseen)
  assert.ok(message.length <= 1_000)
})

test('a name or a tag of the cloud turns no line around, and comes back from the API server as it was', () => {
  const answer = { acknowledged: 1, now: 1_800_000_000_000 }
  for (const name of ['\u202egnirts', 'half \ud83d', 'two\u2028lines', '\u001b[31m']) {
    assert.equal(statusAnswer.safeParse({ ...answer, name }).success, false, JSON.stringify(name))
    assert.equal(statusAnswer.safeParse({ ...answer, tags: { coast: name } }).success, false, JSON.stringify(name))
  }
  for (const name of ['Hafen Süd', '港', '🚢', 'נמל', 'می‌خواهم']) assert.ok(statusAnswer.safeParse({ ...answer, name }).success, name)
})

test('a cloud of the year 9999 is not believed, and the region joins as soon as its clock is right', async () => {
  const world = new World()
  world.give(tokenWith())
  world.onTheWay = async (_sent, go) => {
    const answer = await go()
    const said = JSON.parse(answer.body)
    return { ...answer, body: JSON.stringify({ ...said, now: Date.UTC(9999, 11, 31, 23) }) }
  }
  const link = world.link()
  await world.until(link, 'Claiming', { steps: 3 })
  assert.equal(world.content.status?.reason, 'InvalidAnswer')
  world.onTheWay = (_sent, go) => go()
  await world.until(link, 'Ready')
})

test('a proxy whose address is none is named without the password in it', () => {
  const before = process.env.HTTPS_PROXY
  process.env.HTTPS_PROXY = 'http://site:hunter2@[proxy'
  try {
    const create = () => createUndiciTransport({ url: 'https://localhost', ca: undefined, timeoutMs: 1_000, clock: systemClock })
    assert.throws(create, (error: Error) => {
      assert.match(error.message, /^HTTPS_PROXY must be an address such as/)
      assert.doesNotMatch(JSON.stringify([error.stack, Object.entries(error), error.cause]), /hunter2/)
      return true
    })
  } finally {
    if (before === undefined) delete process.env.HTTPS_PROXY
    else process.env.HTTPS_PROXY = before
  }
})
