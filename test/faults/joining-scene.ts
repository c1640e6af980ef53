import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RegistrationStatus } from '../../agent/cloud/registration/status.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import { type ServedCloud, serveCloud } from '../cloud/serve.ts'
import { tokenWith } from '../cloud/world.ts'
import type { TestCluster } from '../cluster/index.ts'
import type { AgentProcess } from '../region/agent-process.ts'
import { prepareRegion, type Region } from '../region/index.ts'
import { type LossyProxy, startLossyProxy } from './lossy-proxy.ts'

/** Short terms, so that a killed leader is followed within a second rather than fifteen. */
const shortLease = { duration: '1s', renewDeadline: '700ms', retryPeriod: '200ms' }

/** Everything awaited comes within seconds; a machine that has stalled is waited for. */
const patienceMs = 60_000

/** In milliseconds. */
export const day = 86_400_000

/** What a replica leaves to chance it leaves to a tenth of the usual chance, so that nothing here waits for jitter. */
const littleChance = 'const { random } = Math; Math.random = () => random() / 10'

export type SceneOptions = {
  /** The id of the region. */
  id: string
  random?: () => number
  /** The part of the pieces of answers that are lost. */
  loss?: number
  lease?: typeof shortLease
  /** Beside where the cloud is. */
  cloud?: Record<string, unknown>
  /** How the region calls the machine of the cloud. Not by its address: then the replicas look it up, and use no proxy. */
  host?: string
  /** Run in each replica before its own code. */
  preload?: string
}

/** A replica, and the address that the cloud sees it come from. */
export type Replica = AgentProcess & { address: string; proxy: LossyProxy | undefined }

/** An answer of the cloud, before it leaves. `call`: method, path and status, as `POST /v1/regions 200`. */
export type Taken = { call: string; replica: Replica | undefined }

/** When a replica dies: as the cloud answers, so that the answer finds nobody or comes a moment before the end; or as it has told a state. */
export type Moment = { call: RegExp; answer: 'lost' | 'sent' } | { told: string }

/** A region of its own whose replicas are killed, and its cloud over HTTPS, to which no answer is sure to find its way. */
export class Scene {
  readonly region: Region
  readonly served: ServedCloud
  /** Called for each answer before it leaves, which waits for what it returns. */
  taken: (taken: Taken) => Promise<void> | void = () => {}
  /** Every answer of the cloud, and whom it was for. */
  readonly answers: { call: string; address: string }[] = []
  /** Every state and reason that a replica has told. */
  readonly told: string[] = []
  /** Those that run. */
  readonly replicas = new Set<Replica>()
  readonly #options: SceneOptions
  readonly #random: () => number
  #moments: Moment[] = []
  #isKilling = false
  #killing: Promise<unknown> = Promise.resolve()
  #started = 0
  #projects = 0

  private constructor(region: Region, served: ServedCloud, options: SceneOptions) {
    this.region = region
    this.served = served
    this.#options = options
    this.#random = options.random ?? (() => 0.5)
  }

  /** @param ago how far the clock of the cloud is behind, in milliseconds: asked each time */
  static async open(t: TestContext, cluster: TestCluster, options: SceneOptions, ago: () => number = () => 0): Promise<Scene> {
    const { id, host = '127.0.0.1', cloud = {}, lease = shortLease } = options
    let scene: Scene | undefined
    const around: Parameters<typeof serveCloud>[1] = (cloud) => async (request, connection) => {
      const answer = await cloud.app.fetch(request)
      if (scene)
        await scene.#hears(`${request.method} ${new URL(request.url).pathname} ${answer.status}`, connection.incoming.socket.remoteAddress)
      return answer
    }
    const served = await serveCloud(() => Date.now() - ago(), around, 0, host)
    served.cloud.lifeSeconds = 3_600
    const caFile = join(tmpdir(), `skerry-faults-${process.pid}-${id}.crt`)
    await writeFile(caFile, served.ca)
    // A region that has joined speaks within a third of a heartbeat of its start.
    const config = {
      lease: { ...lease, name: 'skerry-agent' },
      cloud: { url: served.origin, caFile, gather: '1s', heartbeat: '15s', ...cloud },
    }
    const region = await prepareRegion(cluster, { id, config })
    scene = new Scene(region, served, options)
    const opened = scene
    t.after(() => opened.#close())
    return scene
  }

  async #close(): Promise<void> {
    const { region, served } = this
    await this.#killing.catch(() => {})
    await region.close()
    await served.close()
    for (const [kind, name] of [
      [kinds.Secret, 'skerry-identity'],
      [kinds.Secret, 'skerry-join'],
      [kinds.Registration, 'cloud'],
    ] as const)
      await region.admin.request({ method: 'DELETE', path: pathOf(kind, region.namespace, name) }).catch(() => {})
  }

  async #hears(call: string, address = ''): Promise<void> {
    this.answers.push({ call, address })
    const replica = [...this.replicas].find((replica) => replica.address === address)
    await this.taken({ call, replica })
    const [next] = this.#moments
    if (next === undefined || this.#isKilling || !('call' in next) || !next.call.test(call)) return
    const isDead = this.#killNow(next.answer === 'sent' ? this.#random() * 60 : 0)
    if (next.answer === 'lost') await isDead
    else await sleep(this.#random() * 30)
  }

  #says(line: string): void {
    const [, to, reason] = /"to":"(\w+)","reason":"(\w+)".*"registration advanced"/.exec(line) ?? []
    if (to === undefined) return
    this.told.push(`${to} (${reason})`)
    const [next] = this.#moments
    if (next !== undefined && !this.#isKilling && 'told' in next && next.told === to) void this.#killNow(0)
  }

  /** The next one of the wanted kills. @returns once the replicas are dead; as many start then */
  #killNow(inMs: number): Promise<unknown> {
    this.#isKilling = true
    const dead = this.#killing.then(() => sleep(inMs)).then(() => this.killAll())
    this.#killing = dead.then((count) => this.start(count))
    this.#killing.catch(() => {})
    const done = dead.then(() => {
      this.#moments.shift()
      this.#isKilling = false
    })
    done.catch(() => {})
    return done
  }

  /** From now on all replicas are killed at these moments, one after the other, and as many started. */
  killsAt(...moments: Moment[]): void {
    this.#moments = moments
  }

  /** @throws Error unless each of the wanted moments comes */
  async killed(): Promise<void> {
    await this.until('each kill happens', () => this.#moments.length === 0)
    await this.#killing
  }

  /** Gives the region a token in place of the one it has. @param more the other fields of the Secret */
  async give(token: string, more: Record<string, string> = {}): Promise<void> {
    const { admin, namespace } = this.region
    const fields = Object.entries({ token, ...more }).map(([name, text]) => [name, Buffer.from(text).toString('base64')] as const)
    const metadata = { name: 'skerry-join', namespace }
    const body = { apiVersion: 'v1', kind: 'Secret', metadata, data: Object.fromEntries(fields) }
    const path = pathOf(kinds.Secret, namespace, 'skerry-join')
    if ((await readObject(admin, path)) === undefined) await admin.request({ method: 'POST', path: pathOf(kinds.Secret, namespace), body })
    else await admin.request({ method: 'PUT', path, body })
  }

  /** Gives the region a token that the cloud has made. */
  async giveKnown(claims: Record<string, string> = { id: 'once' }, options: { expiresAt?: number } = {}): Promise<void> {
    const token = tokenWith(claims)
    this.served.cloud.registry.addToken(token, options)
    await this.give(token)
  }

  async start(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#startOne()))
  }

  async #startOne(): Promise<void> {
    const { loss = 0, host, preload = '' } = this.#options
    const address = `127.0.13.${(this.#started++ % 250) + 1}`
    const proxy = host === undefined ? await startLossyProxy(() => this.#random() < loss, address) : undefined
    const said = [littleChance, ...(proxy ? [`process.env.HTTPS_PROXY = '${proxy.url}'`] : []), preload].join('\n')
    const replica = await this.region.startAgent({
      nodeArguments: ['--import', `data:text/javascript,${encodeURIComponent(said)}`],
      onLog: (line) => this.#says(line),
    })
    void replica.exited.then(() => proxy?.close())
    this.replicas.add({ ...replica, address, proxy })
  }

  /** SIGKILL for all replicas, as when the power fails. @returns how many there were */
  async killAll(): Promise<number> {
    const replicas = [...this.replicas]
    this.replicas.clear()
    await Promise.all(replicas.map((replica) => replica.kill()))
    return replicas.length
  }

  /** SIGKILL for one replica, within the next moment; another one takes over, and one more starts. */
  async replace(replica: Replica): Promise<void> {
    await sleep(this.#random() * 60)
    this.replicas.delete(replica)
    await replica.kill()
    await this.#startOne()
  }

  /** Something changes in the region that its cloud hears of. */
  async change(): Promise<void> {
    const metadata = { name: `${this.#options.id}-${this.#projects++}` }
    const body = { apiVersion: 'skerry.dev/v1', kind: 'Project', metadata, spec: {} }
    await this.region.admin.request({ method: 'POST', path: pathOf(kinds.Project), body })
  }

  /** The cloud takes the credentials back before their time, and the region hears of it with its next status. */
  takeBack(): void {
    for (const { last } of this.registered) if (last) last.expiresAt = 1
  }

  read(kind: 'Secret' | 'Registration', name: string): Promise<KubernetesObject | undefined> {
    return readObject(this.region.admin, pathOf(kinds[kind], this.region.namespace, name))
  }

  /** Changes what the site wants. @param patch a merge patch of the Registration */
  async want(patch: object): Promise<void> {
    const { admin, namespace } = this.region
    const found = (await this.read('Registration', 'cloud')) ?? assert.fail('there is no Registration')
    const { metadata, spec } = patch as { metadata?: object; spec?: object }
    const body = { ...found, metadata: { ...found.metadata, ...metadata }, spec: { ...found.spec, ...spec } }
    await admin.request({ method: 'PUT', path: pathOf(kinds.Registration, namespace, 'cloud'), body })
  }

  async status(): Promise<RegistrationStatus | undefined> {
    return (await this.read('Registration', 'cloud'))?.status as RegistrationStatus | undefined
  }

  /** @throws Error with what the region has told, if it is not so in time */
  async until(what: string, is: (status: RegistrationStatus | undefined) => boolean | Promise<boolean>): Promise<void> {
    for (const deadline = performance.now() + patienceMs; !(await is(await this.status())); await sleep(50)) {
      if (performance.now() > deadline) assert.fail(`${what}, not: ${JSON.stringify(await this.status())}\n${this.told.join('\n')}`)
    }
  }

  /** The region says that it is registered, and the cloud has heard it with that credential. */
  async isItself(sequence = 1): Promise<void> {
    await this.until(`it is registered with credential ${sequence} or a later one`, (status) => {
      const region = status?.state === 'Ready' ? this.served.cloud.registry.records.regions[status.id ?? ''] : undefined
      return region?.isUsed === true && region.sequence >= sequence
    })
  }

  get registered() {
    return Object.values(this.served.cloud.registry.records.regions)
  }

  /** The only region at the cloud, which is the one that the region says it is. */
  async theOne() {
    const { id, thumbprint } = (await this.status()) ?? assert.fail()
    assert.equal(this.registered.length, 1)
    const [registered] = this.registered
    assert.deepEqual([registered?.id, registered?.thumbprint, registered?.state], [id, thumbprint, 'approved'])
    return { id, thumbprint, sequence: registered?.sequence ?? 0 }
  }

  /** @throws Error if a replica was ever refused */
  neverRefused(): void {
    assert.deepEqual(
      this.told.filter((told) => told.startsWith('Refused')),
      [],
    )
  }
}
