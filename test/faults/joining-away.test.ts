import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { failures, ownFailures } from '../../agent/cloud/contract/failures.ts'
import { pinOf } from '../../agent/cloud/trust.ts'
import { annotation } from '../../agent/resources/labels.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { HonestCloud } from '../cloud/honest-cloud.ts'
import { tokenWith } from '../cloud/world.ts'
import { createServingCertificate, startCluster, type TestCluster } from '../cluster/index.ts'
import { regionDefinitions } from '../region/definitions.ts'
import { day, type Replica, Scene } from './joining-scene.ts'

let cluster: TestCluster
before(async () => {
  cluster = await startCluster({ crds: regionDefinitions() })
})
after(() => cluster?.stop())

/** The object as it was, over the one that is there: what a backup of etcd puts back. */
async function putBack(scene: Scene, kind: 'Secret' | 'Registration', old: KubernetesObject): Promise<void> {
  const { admin, namespace } = scene.region
  const path = pathOf(kinds[kind], namespace, old.metadata.name)
  const { metadata } = (await scene.read(kind, old.metadata.name)) ?? assert.fail()
  // A status is put back where statuses are written.
  const at = kind === 'Registration' ? `${path}/status` : path
  await admin.request({ method: 'PUT', path: at, body: { ...old, metadata } })
}

test('two agents that both believe that they lead are one region, with one voice', async (t) => {
  const lease = { duration: '4s', renewDeadline: '3s', retryPeriod: '500ms' }
  const scene = await Scene.open(t, cluster, { id: 'doubled', lease })
  const stopped = new Set<Replica>()
  t.after(() => {
    for (const { pid } of stopped) process.kill(pid, 'SIGCONT')
  })
  /** The replica that asks stands still, with the answer on its way to it, until another one has asked, and goes on. */
  const doubled = async (call: RegExp, begin: () => Promise<void>, sequence: number) => {
    let first: Replica | undefined
    scene.taken = (taken) => {
      if (first !== undefined || !call.test(taken.call)) return
      first = taken.replica ?? assert.fail('a replica asks')
      stopped.add(first)
      process.kill(first.pid, 'SIGSTOP')
    }
    await begin()
    await scene.until('one of them stands still', () => first !== undefined)
    const { pid, address } = first ?? assert.fail()
    await scene.isItself(sequence)
    const identity = (await scene.read('Secret', 'skerry-identity'))?.metadata.resourceVersion
    const since = scene.answers.length
    process.kill(pid, 'SIGCONT')
    stopped.clear()
    const heard = (who: (from: string) => boolean, what: RegExp) =>
      scene.answers.slice(since).filter((answer) => who(answer.address) && what.test(answer.call))
    for (let told = 1; told <= 2; told++) {
      await scene.change()
      await scene.until('the one that leads tells it', () => heard((from) => from !== address, /\/status 200$/).length >= told)
    }
    assert.deepEqual(
      heard((from) => from === address, / 2\d\d$/),
      [],
      'nothing of the other one counts',
    )
    assert.equal((await scene.read('Secret', 'skerry-identity'))?.metadata.resourceVersion, identity, 'nor does it write')
    return scene.theOne()
  }

  const claimed = await doubled(
    /^POST \/v1\/regions 200$/,
    async () => {
      await scene.giveKnown()
      await scene.start(2)
    },
    1,
  )
  const renewed = await doubled(
    /\/credential 200$/,
    async () => {
      scene.takeBack()
      await scene.change()
    },
    claimed.sequence + 1,
  )
  assert.deepEqual([renewed.id, renewed.thumbprint], [claimed.id, claimed.thumbprint])
  scene.neverRefused()
})

test('an etcd from yesterday is taken for a clone, until a person has looked', async (t) => {
  const scene = await Scene.open(t, cluster, { id: 'restored' })
  await scene.giveKnown()
  await scene.start(1)
  await scene.isItself()
  const yesterday = {
    Secret: (await scene.read('Secret', 'skerry-identity')) ?? assert.fail(),
    Registration: (await scene.read('Registration', 'cloud')) ?? assert.fail(),
  }
  for (const sequence of [2, 3]) {
    scene.takeBack()
    await scene.change()
    await scene.isItself(sequence)
  }
  const before = await scene.theOne()

  await scene.killAll()
  await putBack(scene, 'Secret', yesterday.Secret)
  await putBack(scene, 'Registration', yesterday.Registration)
  await scene.start(1)
  await scene.until('it is refused', (status) => status?.reason === failures.cloned.reason)
  const refused = (await scene.status()) ?? assert.fail()
  assert.deepEqual([refused.state, refused.message, refused.action], ['Refused', failures.cloned.message, failures.cloned.action])
  assert.equal(refused.nextAttempt, undefined, 'it asks no more by itself')
  assert.equal(scene.registered[0]?.state, 'locked')

  scene.served.cloud.registry.unlock(before.id ?? '')
  await scene.want({ metadata: { annotations: { [annotation.askAgain]: 'a person has looked' } } })
  await scene.isItself(1)
  const { id, thumbprint } = await scene.theOne()
  assert.deepEqual([id, thumbprint], [before.id, before.thumbprint])
})

test('a token that is of another cloud, unknown, expired or used is named, and the next one counts', async (t) => {
  // The region knows its cloud by the pin in its tokens alone.
  const scene = await Scene.open(t, cluster, { id: 'tokens', cloud: { caFile: undefined } })
  const { cloud, ca } = scene.served
  await cloud.publish({ anchors: [ca] })
  const [pin, other] = [pinOf(ca) ?? assert.fail(), await createServingCertificate('cloud', [], { authority: 'another' })]
  const says = (reason: string) => scene.until(`it says ${reason}`, (status) => status?.reason === reason)
  const { key } = new HonestCloud('https://another.example.org', Date.now)

  await scene.give(tokenWith({ id: 'of-another', pin: pinOf(other.ca) ?? assert.fail() }), { 'cloud.pem': key })
  await scene.start(1)
  await says(ownFailures['ca-changed'].reason)
  assert.deepEqual(
    scene.answers.filter(({ call }) => !call.startsWith('GET ')),
    [],
    'a cloud that the token does not vouch for is told nothing',
  )
  const { thumbprint } = (await scene.status()) ?? assert.fail()

  await scene.give(tokenWith({ id: 'unknown', pin }))
  await says(failures['token-unknown'].reason)
  await scene.giveKnown({ id: 'expired', pin }, { expiresAt: 1 })
  await says(failures['token-expired'].reason)
  const used = tokenWith({ id: 'used', pin })
  cloud.registry.addToken(used).usedBy = 'another'
  await scene.give(used)
  await says(failures['token-used'].reason)
  assert.equal((await scene.status())?.nextAttempt, undefined, 'it asks no more by itself')
  assert.deepEqual(scene.registered, [])

  await scene.giveKnown({ id: 'good', pin })
  await scene.isItself()
  assert.equal((await scene.theOne()).thumbprint, thumbprint, 'it had one key all the time')
})

test('a region that comes back after a year, and finds no DNS, is itself as soon as that is back', async (t) => {
  let ago = 365 * day
  const gone = join(tmpdir(), `skerry-faults-${process.pid}-dns-gone`)
  t.after(() => rm(gone, { force: true }))
  const preload = `
    import dns from 'node:dns'
    import { existsSync } from 'node:fs'
    const { lookup } = dns
    dns.lookup = (name, options, callback) =>
      name === 'localhost' && existsSync(${JSON.stringify(gone)})
        ? callback(Object.assign(new Error('getaddrinfo ENOTFOUND ' + name), { code: 'ENOTFOUND' }))
        : lookup(name, options, callback)`
  const scene = await Scene.open(t, cluster, { id: 'nameless', host: 'localhost', preload }, () => ago)
  await scene.giveKnown()
  await scene.start(1)
  await scene.isItself()
  const before = await scene.theOne()

  await scene.killAll()
  ago = 0
  await writeFile(gone, '')
  await scene.start(1)
  await scene.until('it says so', (status) => status?.reason === ownFailures.unreachable.reason)
  const { state, message, nextAttempt } = (await scene.status()) ?? assert.fail()
  assert.equal(state, 'Recovering')
  assert.match(message, /ENOTFOUND localhost/)
  assert.ok(nextAttempt !== undefined)
  await rm(gone)
  await scene.isItself(before.sequence + 1)
  const { id, thumbprint } = await scene.theOne()
  assert.deepEqual([id, thumbprint], [before.id, before.thumbprint])
  scene.neverRefused()
})
