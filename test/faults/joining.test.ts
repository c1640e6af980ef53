import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createServingCertificate, seeded, startCluster, type TestCluster } from '../cluster/index.ts'
import { regionDefinitions } from '../region/definitions.ts'
import { day, type Moment, Scene } from './joining-scene.ts'

/** Runs have the same moments; `SKERRY_SEED=n` has others. */
const seed = Number(process.env.SKERRY_SEED ?? 1)

let cluster: TestCluster
before(async () => {
  cluster = await startCluster({ crds: regionDefinitions() })
})
after(() => cluster?.stop())

/** A replica dies before the first answer comes, and a moment after the second one has left. */
const twice = (call: RegExp): Moment[] => [
  { call, answer: 'lost' },
  { call, answer: 'sent' },
]

describe(`a region is registered once and stays itself (SKERRY_SEED=${seed})`, () => {
  test('when its replicas are killed while they claim, and answers are lost', async (t) => {
    const scene = await Scene.open(t, cluster, { id: 'claiming', random: seeded(seed), loss: 0.25 })
    const call = /^POST \/v1\/regions 200$/
    scene.killsAt({ call, answer: 'lost' }, ...twice(call))
    await scene.giveKnown()
    await scene.start(2)
    await scene.killed()
    await scene.isItself()
    await scene.theOne()
    scene.neverRefused()
    t.diagnostic(scene.told.join(', '))
  })

  test('when the leader is killed while it renews, and answers are lost', async (t) => {
    const scene = await Scene.open(t, cluster, { id: 'renewing', random: seeded(seed + 1), loss: 0.25 })
    await scene.giveKnown()
    await scene.start(2)
    await scene.isItself()
    const before = await scene.theOne()
    for (let round = 0; round < 3; round++) {
      const { sequence } = await scene.theOne()
      let killing: Promise<void> | undefined
      scene.taken = ({ call, replica }) => {
        if (killing === undefined && call.endsWith('/credential 200') && replica) killing = scene.replace(replica)
      }
      scene.takeBack()
      await scene.change()
      await scene.until('the leader is killed', () => killing !== undefined)
      await killing
      await scene.isItself(sequence + 1)
    }
    const { id, thumbprint, sequence } = await scene.theOne()
    assert.deepEqual([id, thumbprint], [before.id, before.thumbprint])
    scene.neverRefused()
    t.diagnostic(`${sequence} credentials; ${scene.told.join(', ')}`)
  })

  test('when it is killed on each way that it goes', async (t) => {
    let ago = 2 * 365 * day
    const scene = await Scene.open(t, cluster, { id: 'going', random: seeded(seed + 2) }, () => ago)
    const { cloud } = scene.served
    const { registry } = cloud
    let before = { id: '' as string | undefined, thumbprint: '', sequence: 0 }

    await t.test('to an approval', async () => {
      registry.approves = false
      const call = /^POST \/v1\/regions 202$/
      // It tells once that it waits.
      scene.killsAt({ call, answer: 'lost' }, { told: 'AwaitingApproval' }, { call, answer: 'sent' })
      await scene.giveKnown({ id: 'first' })
      await scene.start(1)
      await scene.killed()
      scene.killsAt(...twice(/^POST \/v1\/regions 200$/))
      registry.approves = true
      await scene.killed()
      await scene.isItself()
      before = await scene.theOne()
    })

    await t.test('to another credential, after a year without a network', async () => {
      await scene.killAll()
      ago -= 365 * day
      scene.killsAt({ told: 'Recovering' }, ...twice(/^POST .*\/credential 200$/))
      await scene.start(1)
      await scene.killed()
      await scene.isItself(before.sequence + 1)
      const { id, thumbprint, sequence } = await scene.theOne()
      assert.deepEqual([id, thumbprint], [before.id, before.thumbprint])
      before.sequence = sequence
    })

    await t.test('to another CA and another key, both of which have changed twice in another year', async () => {
      await scene.killAll()
      ago -= 365 * day
      const [second, third] = [
        await createServingCertificate('cloud', [], { authority: 'second' }),
        await createServingCertificate('cloud', [], { authority: 'third' }),
      ]
      await cloud.publish({ anchors: [second.ca], newKey: true })
      await cloud.publish({ anchors: [third.ca], newKey: true })
      scene.served.use(third)
      scene.killsAt(...twice(/^GET \/\.well-known\/skerry-trust\.jws 200$/))
      await scene.start(1)
      await scene.killed()
      await scene.isItself(before.sequence + 1)
      const { id, thumbprint } = await scene.theOne()
      assert.deepEqual([id, thumbprint], [before.id, before.thumbprint])
    })

    await t.test('to another registration, with another token', async () => {
      registry.records.regions = {}
      await scene.change()
      await scene.until('it says that the cloud does not know it', (status) => status?.reason === 'UnknownRegion')
      scene.killsAt(...twice(/^POST \/v1\/regions 200$/))
      await scene.giveKnown({ id: 'second' })
      await scene.killed()
      await scene.isItself()
      const { id, thumbprint } = await scene.theOne()
      assert.notEqual(id, before.id)
      assert.equal(thumbprint, before.thumbprint)
    })

    await t.test('out', async () => {
      scene.killsAt({ told: 'Deregistering' }, { call: /^DELETE /, answer: 'lost' }, { told: 'Deregistered' })
      await scene.want({ spec: { joined: false } })
      await scene.killed()
      await scene.until('it has left', async (status) => {
        return status?.state === 'Deregistered' && (await scene.read('Secret', 'skerry-identity')) === undefined
      })
      assert.deepEqual(
        scene.registered.map(({ state }) => state),
        ['deregistered'],
      )
    })
    t.diagnostic(scene.told.join(', '))
  })
})
