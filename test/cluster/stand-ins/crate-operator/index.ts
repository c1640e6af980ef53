import type { Collection } from '../../client/collection.ts'
import type { StandInKind } from '../../client/kinds.ts'
import type { KubernetesObject } from '../../client/objects.ts'
import type { TestCluster } from '../../test-cluster.ts'
import { createDatabases, type Databases } from '../databases.ts'
import { databaseKey, indexBy } from '../index-by.ts'
import { createQueue } from '../queue.ts'
import { openWorld, type World, type WorldOptions } from '../world.ts'
import { clusterCreate } from './create.ts'
import { createCycles, type Handlers } from './cycles.ts'
import { backupImageOf, createOperatorDeployment, debugVolumeOf, deploymentAt, versionOf } from './deployment.ts'
import { createFaults, type Faults } from './faults.ts'
import { backupSchedule, cidrChanges, isConcerned } from './fields.ts'
import { pingDatabase } from './health.ts'
import { defaultOptions, fieldManager, type Operator, type OperatorOptions } from './operator.ts'
import { enableCronJob } from './pauses.ts'
import { actionOf } from './plan.ts'
import { clusterRestore } from './restore.ts'
import { isUserPassword, secretHandlers } from './secrets.ts'
import { finalizer } from './traces.ts'
import { clusterUpdate } from './update.ts'
import { createWebhooks } from './webhooks.ts'

export type { DatabaseFaults, Faults, WebhookFaults } from './faults.ts'
export type { OperatorOptions } from './operator.ts'

/**
 * Plays the Crate Operator, 2.63.0 unless told otherwise: objects, annotations, Events and webhooks are those of the real one. It runs no
 * database. It runs while its Deployment is there and has replicas.
 */
export type CrateOperatorStandIn = {
  faults: Faults
  /** How far it is with a database, `namespace/name`, for the message of a test that waits in vain. */
  explain(database: string): string
  /** Ends its process: unfinished work stays as it is, and its Deployment is not ready. */
  pause(): Promise<void>
  /** Starts it again. It continues from what it finds. */
  resume(): Promise<void>
  stop(): Promise<void>
}

/** Starts the stand-in on its own connection. */
export async function startCrateOperatorStandIn(
  cluster: TestCluster,
  { clock, log, ...options }: Partial<OperatorOptions> & WorldOptions = {},
): Promise<CrateOperatorStandIn> {
  const world = await openWorld(cluster, { ...(clock && { clock }), ...(log && { log }) })
  const databases = await createDatabases(world)
  const standIn = await runCrateOperator(world, databases, options)
  return {
    ...standIn,
    async stop() {
      await standIn.stop()
      databases.stop()
      await world.close()
    },
  }
}

const followed: StandInKind[] = [
  ...(['CrateDB', 'Namespace', 'Secret', 'Service', 'StatefulSet', 'Pod', 'PersistentVolumeClaim', 'CronJob', 'Job'] as const),
]

/** Starts the stand-in among others that share a connection. */
export async function runCrateOperator(world: World, databases: Databases, given: Partial<OperatorOptions>): Promise<CrateOperatorStandIn> {
  const options = { ...defaultOptions, ...(given.stepMs !== undefined && { healthMs: Math.max(25, given.stepMs * 3) }), ...given }
  const caches = new Map<StandInKind, Collection>()
  for (const [kind, cache] of await Promise.all(followed.map(async (kind) => [kind, await world.follow(kind)] as const)))
    caches.set(kind, cache)
  const deployments = await world.follow('Deployment')
  const deploymentKey = `${deploymentAt.namespace}/${deploymentAt.name}`
  const cacheOf = (kind: StandInKind) => caches.get(kind) as Collection
  let running: Running | undefined
  const faults = createFaults((database) => running?.faultsChanged(database))
  const webhooks = createWebhooks(options.webhook, { faults, log: world.log })
  const by = (kind: StandInKind) => indexBy(cacheOf(kind), databaseKey)
  const children = {
    pods: by('Pod'),
    statefulSets: by('StatefulSet'),
    claims: by('PersistentVolumeClaim'),
    cronJobs: by('CronJob'),
    jobs: by('Job'),
  }
  const operator: Operator = {
    world,
    options,
    databases,
    faults,
    webhooks,
    debugVolume: () => debugVolumeOf(deployments.get(deploymentKey)),
    backupImage: () => backupImageOf(deployments.get(deploymentKey)),
    version: () => versionOf(deployments.get(deploymentKey), options.version),
    children,
    get: (kind, namespace, name) => caches.get(kind)?.get(namespace === '' ? name : `${namespace}/${name}`),
    async ensure(kind, draft, signal) {
      await world.create(kind, draft, { fieldManager, signal })
    },
    patch: (kind, { metadata }, body, signal) => world.patch(kind, metadata, body, { fieldManager, signal }),
    remove: (kind, namespace, name, signal) => world.remove(kind, { namespace, name }, { signal }),
  }
  const deployment = await createOperatorDeployment(world, options)
  let isPaused = false

  async function halt(): Promise<void> {
    const ended = running
    running = undefined
    await ended?.stop()
  }

  const isWanted = () => (deployments.get(deploymentKey)?.spec?.replicas ?? 0) > 0

  /** Runs or does not, as its Deployment and the test want it now, and shows that. One after the other. */
  async function settle(): Promise<void> {
    const runs = isWanted() && !isPaused
    if (runs) running ??= run(operator, cacheOf)
    else await halt()
    await deployment.setReady(runs)
  }
  let settling = Promise.resolve()
  const settled = () => {
    settling = settling.catch(() => {}).then(settle)
    return settling
  }

  const unfollow = deployments.subscribe(({ key }) => {
    if (key === deploymentKey && !isPaused && isWanted() !== (running !== undefined))
      settled().catch((error: unknown) => world.log.debug({ err: error }, 'deployment of the operator not followed'))
  })
  await settled()
  return {
    faults,
    explain: (database) => running?.explain(database) ?? 'it does not run',
    resume() {
      isPaused = false
      return settled()
    },
    pause() {
      isPaused = true
      return settled()
    },
    async stop() {
      unfollow()
      await settling.catch(() => {})
      await halt()
      await webhooks.stop()
      deployment.stop()
      for (const index of Object.values(children)) index.stop()
    },
  }
}

type Running = { stop(): Promise<void>; faultsChanged(database: string | undefined): void; explain(database: string): string }

/** The process of the operator, from its start to its end. */
function run(operator: Operator, cacheOf: (kind: StandInKind) => Collection): Running {
  const { world, options, faults, webhooks } = operator
  const databases = cacheOf('CrateDB')
  const secrets = cacheOf('Secret')
  const common = { clock: world.clock, log: world.log }
  const queue = createQueue(
    async (key, signal) => {
      const object = databases.get(key)
      if (object) await advanceDatabase(object, signal)
    },
    { name: 'databases', ...common },
  )
  const secretQueue = createQueue(
    async (key, signal) => {
      const object = secrets.get(key)
      if (object && isUserPassword(object) && object.metadata.deletionTimestamp === undefined) await secretCycles.advance(object, signal)
    },
    { name: 'secrets', ...common },
  )
  const healthQueue = createQueue(
    async (key, signal) => {
      const object = databases.get(key)
      if (object) await pingDatabase(operator, object, signal)
    },
    { name: 'health', ...common },
  )
  const cycles = createCycles(operator, databaseHandlers(operator), () => queue)
  const secretCycles = createCycles(operator, secretHandlers(operator, databases), () => secretQueue)

  async function advanceDatabase(object: KubernetesObject, signal: AbortSignal): Promise<void> {
    const { metadata } = object
    const { neverStart, holdFinalizer } = faults.of(`${metadata.namespace}/${metadata.name}`)
    if (neverStart) return
    const { finalizers = [], resourceVersion } = metadata
    const isHeld = finalizers.includes(finalizer)
    if (metadata.deletionTimestamp !== undefined) {
      if (!isHeld || holdFinalizer) return
      const without = finalizers.filter((each) => each !== finalizer)
      await operator.patch('CrateDB', object, { metadata: { finalizers: without, resourceVersion } }, signal)
    } else if (!isHeld) {
      await operator.patch('CrateDB', object, { metadata: { finalizers: [...finalizers, finalizer], resourceVersion } }, signal)
    } else {
      await reenableCronJob(object, signal)
      await cycles.advance(object, signal)
    }
  }

  /** The timer that resumes backups some time after an upgrade or a resume. */
  async function reenableCronJob(object: KubernetesObject, signal: AbortSignal): Promise<void> {
    if (object.status?.delay_cronjob !== true) return
    const leftMs = object.status.delay_cronjob_start * 1000 + options.cronJobDelayMs - world.clock.now()
    if (leftMs > 0) return queue.addAfter(`${object.metadata.namespace}/${object.metadata.name}`, leftMs)
    await enableCronJob(operator, object, signal)
    await operator.patch('CrateDB', object, { status: { delay_cronjob: false } }, signal)
  }

  function poke(key: string): void {
    if (!databases.get(key)) return
    cycles.wake(key)
    queue.add(key)
    healthQueue.addAfter(key, options.healthMs)
  }

  const endings = [
    databases.subscribe(({ type, key }) => {
      if (type === 'removed') return cycles.forget(key)
      queue.add(key)
      healthQueue.addAfter(key, options.healthMs)
    }),
    ...(['Pod', 'StatefulSet', 'PersistentVolumeClaim', 'CronJob', 'Job', 'Service', 'Secret'] as const).map((kind) =>
      cacheOf(kind).subscribe(({ object }) => {
        const key = databaseKey(object)
        if (key !== undefined) poke(key)
      }),
    ),
    cacheOf('Service').subscribe((change) => {
      if (change.type === 'changed') noteAddress(change.object, change.previous)
    }),
    secrets.subscribe(({ key, object }) => {
      if (isUserPassword(object)) secretQueue.add(key)
      const owner = /^user-password-(.+)-\d+$/.exec(object.metadata.name)?.[1]
      if (owner !== undefined) poke(`${object.metadata.namespace}/${owner}`)
    }),
    operator.databases.onHealth(poke),
  ]

  function noteAddress(service: KubernetesObject, previous: KubernetesObject): void {
    const addressOf = ({ status }: KubernetesObject) =>
      status?.loadBalancer?.ingress?.[0]?.ip ?? status?.loadBalancer?.ingress?.[0]?.hostname
    const address = addressOf(service)
    const key = databaseKey(service)
    if (key === undefined || address === undefined || address === addressOf(previous)) return
    webhooks.send(key, { event: 'info_changed', status: 'success', payload: { external_ip: address } })
  }

  function faultsChanged(database: string | undefined): void {
    for (const { metadata } of databases.values()) {
      const key = `${metadata.namespace}/${metadata.name}`
      if (database === undefined || database === key || database === metadata.name) poke(key)
    }
    for (const object of secrets.values())
      if (isUserPassword(object)) secretQueue.add(`${object.metadata.namespace}/${object.metadata.name}`)
  }

  faultsChanged(undefined)
  return {
    faultsChanged,
    explain(key) {
      const isKnown = databases.get(key) ? 'known' : 'unknown'
      return `${isKnown}, ${queue.stateOf(key)}; asleep: ${cycles.waitsOf(key)}; health: ${healthQueue.stateOf(key)}`
    },
    async stop() {
      for (const end of endings) end()
      await Promise.all([queue.stop(), secretQueue.stop(), healthQueue.stop()])
    },
  }
}

/** The operator's handlers of a CrateDB, in the order in which the real one declares them. */
function databaseHandlers(operator: Operator): Handlers {
  const create = clusterCreate(operator)
  const update = clusterUpdate(operator)
  const fields = [clusterRestore(operator), cidrChanges(operator), backupSchedule(operator)]
  return {
    kind: 'CrateDB',
    owned: [create, update, ...fields].map(({ id }) => id),
    select: (_object, old, next) => [old === undefined ? create : update, ...fields.filter((field) => isConcerned(field, old, next))],
    actionOf: (purpose, diff) => (purpose === 'create' ? 'create' : actionOf(diff)),
  }
}
