import type { KubernetesObject } from '../../client/objects.ts'
import { type Call, type Handler, Retry } from './handling.ts'
import { keyOfDatabase, type Operator } from './operator.ts'
import type { SubHandler } from './sub-handlers.ts'

const allocation = 'cluster.routing.allocation.enable'
const routingOwner = 'dc-util-routing-owner'
const parts = {
  disable: 'disable_cronjob',
  snapshots: 'ensure_no_snapshots_in_progress',
  jobs: 'ensure_no_cronjobs_running',
  hold: 'set_cluster_routing_allocation_setting',
  enable: 'ensure_cronjob_reenabled',
  release: 'reset_cluster_routing_allocation_setting',
}

/** Throws unless the database answers. */
export function reach(operator: Operator, object: KubernetesObject): void {
  const { withoutPods } = operator.options
  if (!withoutPods && operator.databases.health(keyOfDatabase(object)) === 'UNREACHABLE')
    throw new Retry('Waiting for database connection.')
}

/** Before almost every update: no backup starts or runs, and shards stay where they are. */
export function beforeClusterUpdate(operator: Operator): SubHandler {
  return {
    id: 'before_cluster_update',
    className: 'BeforeClusterUpdateSubHandler',
    async work(call) {
      call.register(part(parts.disable, (each) => disableCronJob(operator, each)))
      call.register(part(parts.snapshots, async ({ object }) => refuseSnapshots(operator, object)))
      call.register(part(parts.jobs, async ({ object }) => refuseJobs(operator, object)))
      call.register(
        part(parts.hold, async (each) => {
          reach(operator, each.object)
          await labelStatefulSets(operator, each, `operator-${Math.floor(operator.world.clock.now() / 1000)}`)
          holdAllocation(operator, each.object)
          return undefined
        }),
      )
    },
  }
}

/** Undoes that after the update, failed ones included. */
export function afterClusterUpdate(operator: Operator): SubHandler {
  return {
    id: 'after_cluster_update',
    className: 'AfterClusterUpdateSubHandler',
    always: true,
    async work(call) {
      const delayed = (call.patch.status.delay_cronjob ?? call.object.status?.delay_cronjob) === true
      if (!delayed) call.register(part(parts.enable, (each) => enableCronJob(operator, each.object, each.signal)))
      call.register(
        part(parts.release, async (each) => {
          reach(operator, each.object)
          releaseAllocation(operator, each.object)
          await labelStatefulSets(operator, each, null)
          return undefined
        }),
      )
    },
  }
}

function part(id: string, work: (call: Call) => Promise<Record<string, unknown> | undefined>): Handler {
  return { id, run: work }
}

async function disableCronJob(operator: Operator, { object, signal }: Call): Promise<Record<string, unknown> | undefined> {
  const [job] = operator.children.cronJobs.of(keyOfDatabase(object))
  if (!job) return undefined
  const found = { cronjob_name: job.metadata.name, cronjob_suspended: true }
  // Somebody else has suspended it, so it stays suspended afterwards.
  if (job.spec.suspend && object.status?.delay_cronjob !== true) return { ...found, ignore_cronjob: true }
  await operator.patch('CronJob', job, { spec: { suspend: true } }, signal)
  return { ...found, ignore_cronjob: false }
}

/** Resumes the CronJob that an update has suspended. */
export async function enableCronJob(operator: Operator, object: KubernetesObject, signal: AbortSignal): Promise<undefined> {
  const [, disabled] = Object.entries(object.status ?? {}).find(([id]) => id.endsWith(parts.disable)) ?? []
  const { ignore_cronjob: ignore, cronjob_name: name } = (disabled ?? { ignore_cronjob: true }) as {
    ignore_cronjob: boolean
    cronjob_name: string
  }
  if (ignore) return
  await operator.patch(
    'CronJob',
    { metadata: { namespace: object.metadata.namespace as string, name } },
    { spec: { suspend: false } },
    signal,
  )
}

function refuseSnapshots(operator: Operator, object: KubernetesObject): undefined {
  reach(operator, object)
  const statement = operator.databases.state(keyOfDatabase(object)).snapshotStatement
  // Only the database knows when it ends, so ask again.
  if (statement !== undefined) throw new Retry(`A snapshot is currently in progress, waiting for it to finish: ${statement}`, 'later')
}

function refuseJobs(operator: Operator, object: KubernetesObject): undefined {
  const running = operator.children.jobs.of(keyOfDatabase(object)).find(({ status }) => (status?.active ?? 0) > 0)
  if (!running) return
  const key = keyOfDatabase(object)
  operator.webhooks.send(key, { event: 'delay', status: 'temporary_failure', payload: { reason: 'A snapshot is in progress' } })
  throw new Retry(`A snapshot k8s job is currently running, waiting for it to finish: ${running.metadata.name}`)
}

/** Keeps CrateDB from allocating replicas while nodes are down. */
export function holdAllocation(operator: Operator, object: KubernetesObject): void {
  const { settings } = operator.databases.state(keyOfDatabase(object))
  settings.transient.set(allocation, 'primaries')
  settings.persistent.set(allocation, 'primaries')
}

export function releaseAllocation(operator: Operator, object: KubernetesObject): void {
  const { settings } = operator.databases.state(keyOfDatabase(object))
  settings.transient.delete(allocation)
  settings.persistent.delete(allocation)
}

/** Tells the preStop hook of the pods who manages shard routing. */
async function labelStatefulSets(operator: Operator, { object, signal }: Call, owner: string | null): Promise<void> {
  for (const set of operator.children.statefulSets.of(keyOfDatabase(object))) {
    await operator.patch('StatefulSet', set, { metadata: { labels: { [routingOwner]: owner } } }, signal)
  }
}
