import assert from 'node:assert/strict'
import dns from 'node:dns'
import { test } from 'node:test'
import { type FailureName, failureOfType, failures, ownFailures, typeOfFailure } from '../../../agent/cloud/contract/failures.ts'
import type { Link } from '../../../agent/cloud/link.ts'
import { Pusher } from '../../../agent/cloud/status/pusher.ts'
import { createUndiciTransport } from '../../../agent/cloud/undici-transport.ts'
import { systemClock } from '../../../shared/clock.ts'
import { HonestCloud } from '../../cloud/honest-cloud.ts'
import { origin, tokenWith, World } from '../../cloud/world.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'

type Case = {
  /** Brings it about, in a world with a region that has joined, unless it is about joining. */
  bringAbout: (world: World) => Promise<void> | void
  joined: boolean
  state: 'Refused' | 'Deregistered' | 'Ready' | 'Unpaired'
  /** What else has to be so at the end. */
  besides?: (world: World, link: Link) => Promise<void> | void
}

const renewalIsDue = (world: World) => world.clock.advance(2_500_000)

/** How each class comes about, and where the region is afterwards. */
const cases: Record<Exclude<FailureName, 'out-of-step' | 'credential-expired' | 'export-refused'>, Case> = {
  'token-unknown': { joined: false, bringAbout: (world) => world.give(tokenWith(), { isKnown: false }), state: 'Refused' },
  'token-expired': { joined: false, bringAbout: (world) => world.give(tokenWith(), { expiresAt: 1 }), state: 'Refused' },
  'token-used': {
    joined: false,
    bringAbout(world) {
      world.give(tokenWith())
      for (const token of Object.values(world.cloud.registry.records.tokens)) token.usedBy = 'another'
    },
    state: 'Refused',
  },
  'not-approved': {
    joined: true,
    async bringAbout(world) {
      for (const region of world.registered) region.state = 'refused'
      await renewalIsDue(world)
    },
    state: 'Refused',
  },
  'pairing-code-taken': {
    joined: false,
    bringAbout(world) {
      let isFirst = true
      world.onTheWay = async (sent, go) => {
        const { pairing } = JSON.parse(String(sent.body))
        if (isFirst) world.cloud.registry.records.codes[pairing.code] = 'r-other'
        isFirst = false
        return go()
      }
    },
    state: 'Unpaired',
    async besides(world, link) {
      const { reason, action } = failures['pairing-code-taken']
      assert.deepEqual([world.content.status?.reason, world.content.status?.action], [reason, action])
      const first = Object.keys(world.cloud.registry.records.codes)
      await world.clock.advance(1_000)
      await world.until(link, 'Unpaired')
      const shown = world.content.status?.pairing?.code.replace('-', '') ?? ''
      assert.match(shown, /^[0-9A-Z]{8}$/)
      assert.ok(!first.includes(shown), 'it shows another code')
    },
  },
  'clock-skew': {
    joined: true,
    async bringAbout(world) {
      world.aheadMs = 3 * 3_600_000
      await renewalIsDue(world)
      world.exchanges.length = 0
    },
    state: 'Ready',
    besides(world) {
      assert.equal(world.registered[0]?.sequence, 2, 'it has renewed')
      assert.deepEqual(world.exchanges, ['POST 401', 'POST 200'], 'once in vain, and once with the time of the cloud')
    },
  },
  'unknown-region': {
    joined: true,
    async bringAbout(world) {
      world.cloud.registry.records = { regions: {}, tokens: {}, codes: {} }
      await renewalIsDue(world)
    },
    state: 'Refused',
  },
  'invalid-signature': {
    joined: true,
    async bringAbout(world) {
      for (const region of world.registered) region.thumbprint = 'another'
      await renewalIsDue(world)
    },
    state: 'Refused',
  },
  cloned: {
    joined: true,
    async bringAbout(world) {
      const yesterday = structuredClone(world.content)
      await renewalIsDue(world)
      const link = world.link()
      await world.until(link, 'Ready')
      for (const region of world.registered) region.isUsed = true
      Object.assign(world.content, yesterday, { version: world.content.version })
      await renewalIsDue(world)
    },
    state: 'Refused',
  },
  revoked: {
    joined: true,
    async bringAbout(world) {
      for (const region of world.registered) region.state = 'revoked'
      await renewalIsDue(world)
    },
    state: 'Refused',
  },
  deregistered: {
    joined: true,
    async bringAbout(world) {
      for (const region of world.registered) region.state = 'deregistered'
      await renewalIsDue(world)
    },
    state: 'Deregistered',
    async besides(world, link) {
      assert.equal(link.session(), undefined, 'it tells its status no more')
      for (const region of world.registered) region.state = 'approved'
      world.content.wanted = { joined: true, askAgain: 'it was a mistake' }
      await world.until(link, 'Ready')
      assert.equal(world.registered.length, 1, 'it is the same region')
    },
  },
}

for (const [name, { joined, bringAbout, state, besides }] of Object.entries(cases)) {
  test(`${name}: the region is ${state}, says so, and keeps what it must`, async () => {
    const world = new World()
    if (joined) {
      world.give(tokenWith())
      await world.until(world.link(), 'Ready')
    }
    const key = world.content.state?.key
    await bringAbout(world)
    const link = world.link()
    await world.until(link, state, { steps: 6 })
    const { status } = world.content
    const failure = failures[name as FailureName]
    if (state === 'Refused' || state === 'Deregistered') {
      assert.equal(status?.reason, failure.reason)
      assert.equal(status?.message, failure.message)
      assert.equal(status?.action, failure.action)
      assert.equal(status?.nextAttempt !== undefined, failure.retry === 'wait')
      // Where only a person can help, nothing more is asked.
      let asked = 0
      world.onTheWay = (_sent, go) => go().finally(() => asked++)
      await world.clock.advance(3_600_000)
      await link.step()
      assert.equal(asked, failure.retry === 'wait' ? 1 : 0)
    }
    await besides?.(world, link)
    if (key) assert.deepEqual(world.content.state?.key, key, 'the key is never given up')
  })
}

for (const name of ['cloned', 'not-approved'] as const) {
  test(`${name}: another token does not help, and is no reason to ask again and again`, async () => {
    const world = new World()
    world.give(tokenWith())
    await world.until(world.link(), 'Ready')
    await cases[name].bringAbout(world)
    const link = world.link()
    await world.until(link, 'Refused', { steps: 6 })
    world.give(tokenWith({ id: 'another' }))
    world.exchanges.length = 0
    // Each change of the Registration, also one by the region itself, is a reason to look.
    for (let looks = 0; looks < 5; looks++) assert.equal(await link.step(), undefined)
    assert.deepEqual(world.exchanges, [])
  })
}

test('a class that is no answer to the request means nothing: the region goes on asking', async () => {
  const world = new World()
  world.give(tokenWith())
  await world.until(world.link(), 'Ready')
  await renewalIsDue(world)
  const body = JSON.stringify({ type: typeOfFailure('token-used') })
  world.onTheWay = async () => ({ status: 409, headers: { 'content-type': 'application/problem+json' }, body })
  await world.until(world.link(), 'Renewing', { steps: 3 })
  const { reason, message = '', nextAttempt } = world.content.status ?? {}
  assert.equal(reason, 'InvalidAnswer')
  assert.match(message, /409 with token-used, which is no answer to this request/)
  assert.ok(nextAttempt)
})

/** How the classes come about that the region finds itself, while it joins. Those about certificates are in trust.test.ts. */
const found: Record<'unreachable' | 'garbled' | 'busy', { world: () => World; says: RegExp; afterMs?: number }> = {
  unreachable: {
    world() {
      const clock = createFakeClock()
      // Nobody listens on the port of "discard".
      const connect = () => createUndiciTransport({ url: 'https://127.0.0.1:9', ca: undefined, timeoutMs: 5_000, clock: systemClock })
      return new World({ clock, cloud: new HonestCloud(origin, clock.now), connect })
    },
    says: /ECONNREFUSED/,
  },
  garbled: {
    world() {
      const world = new World()
      world.onTheWay = async () => ({ status: 200, headers: { 'content-type': 'text/html' }, body: '<html>Log in</html>' })
      return world
    },
    says: /text\/html, not with JSON/,
  },
  busy: {
    world() {
      const world = new World()
      world.onTheWay = async () => ({ status: 503, headers: { 'retry-after': '1200' }, body: '' })
      return world
    },
    says: /answered 503/,
    afterMs: 1_200_000,
  },
}

for (const [name, { world: make, says, afterMs = 1 }] of Object.entries(found)) {
  test(`${name}: the region goes on asking, and says what it has found`, async () => {
    const world = make()
    world.give(tokenWith())
    await world.until(world.link(), 'Claiming', { steps: 4 })
    const { reason, message, action } = ownFailures[name as keyof typeof found]
    const { status = assert.fail() } = world.content
    assert.deepEqual([status.reason, status.action], [reason, action])
    assert.ok(status.message.startsWith(message.slice(0, -1)), status.message)
    assert.match(status.message, says)
    assert.ok(Date.parse(status.nextAttempt ?? '') >= world.clock.now() + afterMs - 1_000, status.nextAttempt)
  })
}

test('unreachable: a region without DNS stays itself, says that the name is not found, and renews once it is', async (t) => {
  const world = new World()
  world.give(tokenWith())
  const link = world.link()
  await world.until(link, 'Ready')
  const transport = createUndiciTransport({ url: origin, ca: undefined, timeoutMs: 5_000, clock: systemClock })
  t.after(() => transport.close())
  const gone = Object.assign(new Error('getaddrinfo ENOTFOUND cloud.example.org'), { code: 'ENOTFOUND' })
  const lookup = t.mock.method(dns, 'lookup', (...given: unknown[]) => (given.at(-1) as (error: Error) => void)(gone))
  world.onTheWay = (sent) => transport.send(sent, new AbortController().signal)
  await renewalIsDue(world)
  await world.until(link, 'Renewing', { steps: 3 })
  assert.ok(lookup.mock.callCount() > 0, 'the name was looked up')
  assert.equal(world.content.status?.reason, 'Unreachable')
  assert.match(world.content.status.message, /ENOTFOUND cloud\.example\.org/)
  assert.match(world.content.status.action ?? '', /DNS/)
  world.onTheWay = (_sent, go) => go()
  await world.until(link, 'Ready')
  assert.deepEqual(
    world.registered.map(({ sequence }) => sequence),
    [2],
  )
})

/** A region that has joined, and what tells its status. */
async function telling(): Promise<{ world: World; link: Link; pusher: Pusher }> {
  const world = new World()
  world.give(tokenWith())
  const link = world.link()
  await world.until(link, 'Ready')
  const pusher = new Pusher(60_000, {
    session: () => link.session(),
    read: () => ({ id: 'harbour-1', at: world.clock.now(), parts: {} }),
    cloudClock: () => link.cloudClock,
    clock: world.clock,
    random: () => 0.5,
    answered: async () => {},
    refused: () => link.doubt(),
    log: world.log,
  })
  await pusher.push()
  assert.ok(pusher.isHeard)
  world.exchanges.length = 0
  return { world, link, pusher }
}

test('credential-expired: the region gets another credential before its time, and says why', async () => {
  const { world, link, pusher } = await telling()
  for (const { last } of world.registered) if (last) last.expiresAt = 1
  await world.clock.advance(60_000)
  const pauseMs = await pusher.push()
  const { message } = failures['credential-expired']
  assert.ok(world.lines.some((line) => line.failure === 'credential-expired' && line.message === message))
  await world.until(link, 'Ready')
  assert.equal(world.registered[0]?.sequence, 2)
  await world.clock.advance(pauseMs ?? assert.fail())
  await pusher.push()
  assert.ok(pusher.isHeard)
})

test('out-of-step: the whole status is told at once', async () => {
  const { world, pusher } = await telling()
  for (const { status } of world.registered) if (status) status.sequence--
  await world.clock.advance(60_000)
  assert.equal(await pusher.push(), 0)
  await pusher.push()
  assert.ok(pusher.isHeard)
  assert.deepEqual(world.exchanges, ['PATCH 412', 'PUT 200'])
})

test('a class that only the region finds means nothing in the mouth of a cloud', () => {
  for (const name of Object.keys(ownFailures)) assert.equal(failureOfType(`https://skerry.dev/cloud/problems/${name}`), undefined, name)
})
