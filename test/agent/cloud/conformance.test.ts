import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { tryCloud } from '../../cloud/conformance/run.ts'
import { directTransport } from '../../cloud/direct-transport.ts'
import { HonestCloud } from '../../cloud/honest-cloud.ts'
import { type Point, points } from '../../cloud/points.ts'
import { origin, tokenWith } from '../../cloud/world.ts'

/** What no stranger can see, from outside and in a minute. */
const beyond: readonly Point[] = [
  'Codes as people type them',
  'A higher number',
  'Patience',
  'Whether a region lives',
  'Another CA',
  'Another key',
]

/** What is found about a cloud that leaves a point of the contract out. */
async function found(without?: Point, { closedMs }: { closedMs?: number } = {}) {
  const cloud = new HonestCloud(origin, Date.now, without === undefined ? {} : { without })
  await cloud.publish({ anchors: [] })
  const [token, expired] = [tokenWith({ id: 'new' }), tokenWith({ id: 'old' })]
  cloud.registry.addToken(token)
  cloud.registry.addToken(expired, { expiresAt: 1 })
  const secretOf = (text: string, id: string) => ({ id, sha256: createHash('sha256').update(text).digest('hex') })
  const said: string[] = []
  const report = await tryCloud({
    url: origin,
    transport: directTransport(origin, (request) => cloud.app.fetch(request)),
    cloudKey: cloud.key,
    token: secretOf(token, 'new'),
    expiredToken: secretOf(expired, 'old'),
    idle: Promise.resolve(closedMs),
    say: (line) => said.push(line),
  })
  const of = (result: string) => report.verdicts.filter(([, verdict]) => verdict.result === result).map(([point]) => point)
  return { report, cloud, said, of }
}

test('a cloud that keeps the contract passes every point that can be tried from outside', async () => {
  const { report, said, of } = await found()
  assert.deepEqual(of('fail'), [], JSON.stringify(report.verdicts))
  assert.deepEqual(of('not tried'), beyond)
  assert.equal(report.hasFailed, false)
  assert.equal(said.length, 1)
  assert.match(said[0] ?? '', /^The registration r-[0-9a-f]+ stays behind at your cloud, locked/)
})

for (const point of points.filter((each) => !beyond.includes(each) && each !== 'All together' && each !== 'Idle connections')) {
  test(`a cloud that does not keep "${point}" fails at that point, and at no other`, async () => {
    const { report, of } = await found(point)
    assert.deepEqual(of('fail'), [point], JSON.stringify(report.verdicts))
  })
}

test('a cloud that closes idle connections fails at that point, and at no other', async () => {
  const { of } = await found(undefined, { closedMs: 5_000 })
  assert.deepEqual(of('fail'), ['Idle connections'])
})
