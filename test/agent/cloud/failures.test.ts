import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FailureName, failures } from '../../../agent/cloud/contract/failures.ts'
import { tokenWith, World } from '../../cloud/world.ts'

type Case = {
  /** Brings it about, in a world with a region that has joined, unless it is about joining. */
  bringAbout: (world: World) => Promise<void> | void
  joined: boolean
  state: 'Refused' | 'Deregistered' | 'Ready' | 'Unpaired'
}

const renewalIsDue = (world: World) => world.clock.advance(2_500_000)

/** How each class comes about, and where the region is afterwards. */
const cases: Record<Exclude<FailureName, 'out-of-step' | 'credential-expired'>, Case> = {
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
  },
  'clock-skew': {
    joined: true,
    async bringAbout(world) {
      world.aheadMs = 3 * 3_600_000
      await renewalIsDue(world)
    },
    state: 'Ready',
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
  },
}

for (const [name, { joined, bringAbout, state }] of Object.entries(cases)) {
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
    if (key && state !== 'Deregistered') assert.deepEqual(world.content.state?.key, key, 'the key is never given up')
  })
}
