import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RegistrationStatus } from '../../agent/cloud/registration/status.ts'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import { type ServedCloud, serveCloud } from '../cloud/serve.ts'
import { tokenWith } from '../cloud/world.ts'
import { startCluster, type TestCluster } from '../cluster/index.ts'
import { seeded } from '../cluster/seeded.ts'
import type { AgentProcess } from '../region/agent-process.ts'
import { regionDefinitions } from '../region/definitions.ts'
import { prepareRegion, type Region } from '../region/index.ts'
import { startLossyProxy } from './lossy-proxy.ts'

/** Short terms, so that a killed leader is followed within two seconds rather than fifteen. */
const lease = { duration: '2s', renewDeadline: '1500ms', retryPeriod: '300ms' }
const seed = Number(process.env.SKERRY_SEED ?? Date.now() % 1_000_000)
const patienceMs = 30_000

let cluster: TestCluster
before(async () => {
  cluster = await startCluster({ crds: regionDefinitions() })
})
after(() => cluster?.stop())

/** A region of its own whose replicas are killed, and its cloud, to which no answer is sure to find its way. */
class Scene {
  readonly region: Region
  readonly served: ServedCloud
  /** Called for each request that the cloud has taken, by its method and path, before its answer leaves. */
  taken: (what: string) => void = () => {}
  /** Every state and reason that a replica has told. */
  readonly told: string[] = []
  readonly #nodeArguments: string[]
  readonly #random: () => number
  #replicas = new Set<AgentProcess>()

  private constructor(region: Region, served: ServedCloud, proxy: string, random: () => number) {
    this.region = region
    this.served = served
    this.#random = random
    this.#nodeArguments = ['--import', `data:text/javascript,${encodeURIComponent(`process.env.HTTPS_PROXY = '${proxy}'`)}`]
  }

  static async open(t: TestContext, id: string, random: () => number): Promise<Scene> {
    let taken = (_what: string) => {}
    const served = await serveCloud(Date.now, (cloud) => async (request) => {
      const answer = await cloud.app.fetch(request)
      taken(`${request.method} ${new URL(request.url).pathname}`)
      await sleep(random() * 30)
      return answer
    })
    served.cloud.lifeSeconds = 60
    const proxy = await startLossyProxy(() => random() < 0.25)
    const caFile = join(tmpdir(), `skerry-faults-${process.pid}-${id}.crt`)
    await writeFile(caFile, served.ca)
    // A region that has joined speaks within a third of a heartbeat of its start.
    const cloud = { url: served.origin, caFile, gather: '1s', heartbeat: '15s' }
    const region = await prepareRegion(cluster, { id, config: { lease: { ...lease, name: 'skerry-agent' }, cloud } })
    t.after(async () => {
      await region.close()
      t.diagnostic(`${proxy.count.cut} of ${proxy.count.pieces} pieces of answers were lost`)
      assert.ok(proxy.count.pieces > 0, 'the answers come through the proxy')
      await proxy.close()
      await served.close()
      for (const [kind, name] of [
        [kinds.Secret, 'skerry-identity'],
        [kinds.Secret, 'skerry-join'],
        [kinds.Registration, 'cloud'],
      ] as const)
        await region.admin.request({ method: 'DELETE', path: pathOf(kind, region.namespace, name) }).catch(() => {})
    })
    const scene = new Scene(region, served, proxy.url, random)
    taken = (what) => scene.taken(what)
    return scene
  }

  /** Gives the region a token that the cloud has made. */
  async give(): Promise<void> {
    const token = tokenWith({ id: 'once' })
    this.served.cloud.registry.addToken(token)
    const data = { token: Buffer.from(token).toString('base64') }
    const { admin, namespace } = this.region
    const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'skerry-join', namespace }, data }
    await admin.request({ method: 'POST', path: pathOf(kinds.Secret, namespace), body })
  }

  async start(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#startOne()))
  }

  async #startOne(): Promise<void> {
    const replica = await this.region.startAgent({
      nodeArguments: this.#nodeArguments,
      onLog: (line) => {
        const [, to, reason] = /"to":"(\w+)","reason":"(\w+)".*"registration advanced"/.exec(line) ?? []
        if (to !== undefined) this.told.push(`${to} (${reason})`)
      },
    })
    this.#replicas.add(replica)
  }

  /** SIGKILL for all replicas within the next moment, as when the power fails; then as many start. */
  async killAll(): Promise<void> {
    await sleep(this.#random() * 60)
    const replicas = [...this.#replicas]
    this.#replicas = new Set()
    await Promise.all(replicas.map((replica) => replica.kill()))
    await this.start(replicas.length)
  }

  /** SIGKILL for the replica that leads, within the next moment; the other one takes over. */
  async killLeader(): Promise<void> {
    await sleep(this.#random() * 60)
    for (const replica of this.#replicas) {
      const { facts } = (await (await fetch(`${replica.adminUrl}/readyz`)).json()) as { facts: { leader: boolean } }
      if (!facts.leader) continue
      this.#replicas.delete(replica)
      await replica.kill()
      await this.#startOne()
      return
    }
  }

  async status(): Promise<RegistrationStatus | undefined> {
    const { admin, namespace } = this.region
    return (await readObject(admin, pathOf(kinds.Registration, namespace, 'cloud')))?.status as RegistrationStatus | undefined
  }

  /** @throws Error with what the region has told, if it is not so in time */
  async until(what: string, is: (status: RegistrationStatus | undefined) => boolean): Promise<void> {
    for (const deadline = performance.now() + patienceMs; !is(await this.status()); await sleep(50)) {
      if (performance.now() > deadline) assert.fail(`${what}, not: ${JSON.stringify(await this.status())}\n${this.told.join('\n')}`)
    }
  }

  get registered() {
    return Object.values(this.served.cloud.registry.records.regions)
  }
}

describe(`a region is registered once and stays itself (SKERRY_SEED=${seed})`, () => {
  test('when its replicas are killed while they claim, and answers are lost', async (t) => {
    const scene = await Scene.open(t, 'claiming', seeded(seed))
    let kills = 3
    let killing = Promise.resolve()
    scene.taken = (what) => {
      if (what !== 'POST /v1/regions' || kills === 0) return
      kills--
      killing = killing.then(() => scene.killAll())
    }
    await scene.give()
    await scene.start(2)
    await scene.until('it is registered', (status) => status?.state === 'Ready')
    await killing
    await scene.until('it is registered', (status) => status?.state === 'Ready')
    assert.equal(scene.registered.length, 1)
    const [registered] = scene.registered
    const { id, thumbprint } = (await scene.status()) ?? assert.fail()
    assert.deepEqual([registered?.id, registered?.thumbprint, registered?.state], [id, thumbprint, 'approved'])
    assert.deepEqual(
      scene.told.filter((told) => told.startsWith('Refused')),
      [],
    )
    t.diagnostic(`${3 - kills} times killed; ${scene.told.join(', ')}`)
  })

  test('when the leader is killed while it renews, and answers are lost', async (t) => {
    const scene = await Scene.open(t, 'renewing', seeded(seed + 1))
    await scene.give()
    await scene.start(2)
    await scene.until('it is registered', (status) => status?.state === 'Ready')
    const before = (await scene.status()) ?? assert.fail()
    let killing = Promise.resolve()
    let isDue = false
    scene.taken = (what) => {
      if (!isDue || !what.endsWith('/credential')) return
      isDue = false
      killing = killing.then(() => scene.killLeader())
    }
    for (let round = 0; round < 3; round++) {
      const number = scene.registered[0]?.sequence ?? 0
      // The cloud takes the credential back before its time, and the region hears of it with its next status.
      for (const { last } of scene.registered) if (last) last.expiresAt = 1
      isDue = true
      const project = { apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name: `round-${seed % 1_000}-${round}` }, spec: {} }
      await scene.region.admin.request({ method: 'POST', path: pathOf(kinds.Project), body: project })
      await scene.until('another credential is used', () => {
        const [region] = scene.registered
        return (region?.sequence ?? 0) > number && region?.isUsed === true
      })
      await killing
    }
    await scene.until('it is registered', (status) => status?.state === 'Ready')
    assert.equal(scene.registered.length, 1)
    const [registered] = scene.registered
    const { id, thumbprint } = (await scene.status()) ?? assert.fail()
    assert.deepEqual([id, thumbprint], [before.id, before.thumbprint])
    assert.deepEqual([registered?.id, registered?.thumbprint, registered?.state], [id, thumbprint, 'approved'])
    assert.deepEqual(
      scene.told.filter((told) => told.startsWith('Refused')),
      [],
    )
    t.diagnostic(`${registered?.sequence} credentials; ${scene.told.join(', ')}`)
  })
})
