import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CloudFault } from '../../../agent/cloud/fault.ts'
import { readInstallToken } from '../../../agent/cloud/install-token.ts'
import { Link } from '../../../agent/cloud/link.ts'
import { createProver } from '../../../agent/cloud/proof.ts'
import { createLog } from '../../../shared/log.ts'
import { makeKey } from '../../../shared/signing/key.ts'
import { directTransport } from '../../cloud/direct-transport.ts'
import { HonestCloud } from '../../cloud/honest-cloud.ts'
import { type Content, memoryStore } from '../../cloud/memory-store.ts'
import { tokenWith, World } from '../../cloud/world.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'

const origin = 'https://cloud.example.org'
const token = `skerry1.${Buffer.from('region=harbour-1\nid=abc').toString('base64url')}.${'A'.repeat(86)}.12345`

function world(clock = createFakeClock()) {
  const cloud = new HonestCloud(origin, () => clock.now())
  const content: Content = { version: 1, wanted: { joined: true } }
  const link = () =>
    new Link(
      { cloud: origin, region: { id: 'harbour-1', cluster: 'c-1' }, version: '0.2.0', tags: {} },
      {
        store: memoryStore(content),
        transport: directTransport(origin, (request) => cloud.app.fetch(request)),
        clock,
        random: () => 0.5,
        stopping: new AbortController().signal,
        log: createLog({ level: 'silent', name: 'test' } as never),
      },
    )
  return { cloud, content, link, clock }
}

test('a region with a token joins, and renews its credential at two thirds of its life', async () => {
  const { cloud, content, link: start, clock } = world()
  cloud.registry.addToken(token)
  content.join = readInstallToken(token) ?? assert.fail()
  const link = start()
  assert.equal(await link.step(), 0, 'it has a key')
  assert.equal(await link.step(), 0, 'it has joined')
  assert.equal(content.status?.state, 'Ready', JSON.stringify(content.status))
  const pause = await link.step()
  assert.equal(pause, 2_400_000)
  await clock.advance(2_400_000)
  assert.equal(await link.step(), 0)
  assert.equal(content.status?.state, 'Ready')
  assert.ok(link.session())
})

test('a region without a token shows a code, and joins once somebody has typed it', async () => {
  const { cloud, content, link: start, clock } = world()
  const link = start()
  await link.step()
  assert.equal(await link.step(), 1_125, 'what the cloud asks for, and a part of a quarter of it')
  assert.equal(content.status?.state, 'Unpaired')
  const code = content.status?.pairing?.code ?? ''
  assert.match(code, /^[0-9A-Z]{4}-[0-9A-Z]{4}$/)
  cloud.registry.typed(code)
  await clock.advance(1_125)
  assert.equal(await link.step(), 0)
  assert.equal(content.status?.state, 'Ready', JSON.stringify(content.status))
})

test('whoever reads a claim on its way cannot claim with another key first', async () => {
  const world = new World()
  world.give(tokenWith({ id: 'abc' }))
  const seen: string[] = []
  world.onTheWay = async (sent) => {
    seen.push(JSON.stringify(sent))
    return { status: 503, headers: {}, body: '' }
  }
  const link = world.link()
  await world.until(link, 'Claiming', { steps: 3 })
  const [claim = ''] = seen
  const { sha256 = '' } = world.content.join ?? {}
  for (const form of ['hex', 'base64url'] as const) {
    assert.ok(!claim.includes(Buffer.from(sha256, 'hex').toString(form)), 'the secret of both sides is not sent')
  }
  const { path, headers, body } = JSON.parse(claim)
  const proof = createProver(makeKey()).prove({ method: 'POST', url: `${world.cloud.origin}${path}`, now: world.clock.now() })
  const theirs = new Request(`${world.cloud.origin}${path}`, { method: 'POST', headers: { ...headers, dpop: proof }, body })
  const refused = (await (await world.cloud.app.fetch(theirs)).json()) as { type: string }
  assert.match(refused.type, /token-unknown$/)
  assert.deepEqual(world.registered, [])

  world.onTheWay = (_sent, go) => go()
  await world.clock.advance(10_000)
  await world.until(link, 'Ready')
})

test('a region for which nobody decides asks once a minute in the end, whatever the cloud asks for', async () => {
  const world = new World()
  const link = world.link()
  const until = world.clock.now() + 86_400_000
  await link.step()
  while (world.clock.now() < until) await world.clock.advance((await link.step()) ?? assert.fail())
  assert.equal(world.content.status?.state, 'Unpaired')
  const asked = world.exchanges.length
  assert.ok(asked > 1_000 && asked < 1_400, `${asked} questions in a day`)
})

test('a region that waits for an approval says since when, however often it asks, and whether the cloud answers', async () => {
  const world = new World()
  world.cloud.registry.approves = false
  world.give(tokenWith())
  const link = world.link()
  await world.until(link, 'AwaitingApproval')
  const since = world.content.status?.since
  for (let asked = 0; asked < 3; asked++) {
    await world.clock.advance(60_000)
    await link.step()
  }
  assert.deepEqual([world.content.status?.state, world.content.status?.since], ['AwaitingApproval', since])
  assert.equal(world.exchanges.length, 4)
  assert.deepEqual(
    world.lines.filter(({ msg }) => msg === 'registration advanced').map(({ to }) => to),
    ['Claiming', 'AwaitingApproval'],
  )
  world.onTheWay = async () => {
    throw new CloudFault('unreachable', 'There is no network.')
  }
  await world.clock.advance(60_000)
  await link.step()
  assert.deepEqual([world.content.status?.state, world.content.status?.reason], ['AwaitingApproval', 'Unreachable'])
})
