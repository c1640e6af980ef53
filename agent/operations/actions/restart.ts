import { isProblem } from '../../../shared/errors.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { isReady } from '../../region/obstacles/evidence.ts'
import { groupsOf, type StoredDatabaseSpec } from '../../resources/database.ts'
import { type DatabaseTarget, namespaceOf, type Step } from '../../resources/kind.ts'
import { isSuspended, refuseFaults, seconds } from '../deciding/decision.ts'
import { databaseOfRequest } from '../deciding/present.ts'
import type { Progress, WorkContext } from '../work/context.ts'
import { readCrateDB, untilIdle } from '../work/database-steps.ts'
import { type Action, databaseRequest, emptyBody } from './action.ts'

/**
 * Restarts a database node by node. The Crate Operator has no restart of its own, so this does what the operator does in an upgrade
 * (crate-operator.md, 6.1): restrict allocation to primaries, delete one pod, wait for its replacement, release allocation, and continue with
 * the next only when all nodes are back and the health is GREEN.
 */
export const restart: Action<DatabaseTarget> = {
  name: 'restart',
  phase: 'Restarting',
  requests: [
    databaseRequest({
      method: 'POST',
      operationId: 'restartDatabase',
      summary: 'Restarts all nodes, one after the other',
      body: emptyBody('Empty: every node is restarted, one after the other'),
      asksForState: false,
      decide(parts, asked) {
        const { spec } = databaseOfRequest(parts, asked)
        refuseFaults(isSuspended(spec))
        return { timeoutSeconds: seconds(parts.config.timeouts.change), plan: [stepOf(spec)] }
      },
    }),
  ],
  work: { advance, leave },
}

function stepOf(spec: StoredDatabaseSpec): Step {
  const nodes = groupsOf(spec).reduce((sum, { count }) => sum + count, 0)
  const consequences = [
    `Restarts ${nodes === 1 ? 'the only node: meanwhile clients cannot connect' : `all ${nodes} nodes, one after the other`}; queries on the node that restarts fail.`,
    'Goes on to the next node only when the database is GREEN.',
  ]
  return { name: 'restart', consequences, objects: [] }
}

/** The pods at the beginning, masters first. Each is restarted once, and identified by its uid. */
type RestartNote = {
  pods: { name: string; uid: string }[]
  /** Shard allocation is restricted, or is about to be. */
  holding?: boolean
  /** The pod that is being replaced. */
  current?: string
}

const hold = "SET GLOBAL PERSISTENT cluster.routing.allocation.enable = 'primaries'"
const release = 'RESET GLOBAL cluster.routing.allocation.enable'

async function advance(context: WorkContext<DatabaseTarget>): Promise<Progress> {
  const current = await readCrateDB(context)
  if (!current) return { next: 'failed', reason: 'Disappeared', message: 'The database was deleted while it was to be restarted.' }
  const { step } = context.operation.status ?? {}
  const pods = await context.cluster.list(
    'Pod',
    current.metadata.namespace as string,
    `app.kubernetes.io/name=${current.metadata.name},app.kubernetes.io/part-of=cratedb`,
  )
  if (!step) return begin(context, current, pods)
  const note = step.note as RestartNote
  const left = note.pods.filter(({ name, uid }) => pods.some(({ metadata }) => metadata.name === name && metadata.uid === uid))
  const replaced = note.pods.length - left.length
  if (note.holding) return replaceHeld(context, current, { pods, left, replaced })
  const unhealthy = await whyNotHealthy(context, current)
  if (unhealthy) return { next: 'wait', message: `${replaced} of ${note.pods.length} nodes restarted. ${unhealthy}`, recheckMs: 1_000 }
  if (left.length > 0) return holdAllocation(context, note)
  await context.finish(`${note.pods.length} nodes restarted.`)
  return { next: 'done', message: `All ${note.pods.length} nodes were restarted, one at a time.` }
}

/** The restriction is persistent: as long as it is in effect, no replica is allocated. */
async function leave(context: WorkContext<DatabaseTarget>): Promise<string | undefined> {
  const note = context.operation.status?.step?.note as RestartNote | undefined
  if (!note?.holding) return undefined
  try {
    await context.sql.query(context.target, release)
    return undefined
  } catch (error) {
    if (!isProblem(error, 'database-unreachable', 'database-refused')) throw error
    return `Shard allocation is still restricted to primaries, since the database did not answer: run "${release}" when it does, or its replicas are not allocated.`
  }
}

async function begin(context: WorkContext<DatabaseTarget>, current: KubernetesObject, pods: KubernetesObject[]): Promise<Progress> {
  // Never during another change, which may restart nodes itself.
  const wait = await untilIdle(context, current)
  if (wait) return wait
  const masterFirst = (pod: KubernetesObject) => (pod.metadata.labels?.['cloud.crate.io/node-name'] === 'master' ? 0 : 1)
  const ordered = pods.toSorted((a, b) => masterFirst(a) - masterFirst(b) || a.metadata.name.localeCompare(b.metadata.name))
  await context.begin('restart', { pods: ordered.map(({ metadata }) => ({ name: metadata.name, uid: metadata.uid })) })
  return { next: 'again' }
}

async function holdAllocation(context: WorkContext<DatabaseTarget>, note: RestartNote): Promise<Progress> {
  // Recorded first: so the restriction is released whatever happens.
  await noteHolding(context, { ...note, holding: true })
  await context.sql.query(context.target, hold)
  return { next: 'again' }
}

type Nodes = { pods: KubernetesObject[]; left: RestartNote['pods']; replaced: number }

/** While allocation is restricted: deletes the next pod, waits for its replacement, and releases allocation. */
async function replaceHeld(
  context: WorkContext<DatabaseTarget>,
  current: KubernetesObject,
  { pods, left, replaced }: Nodes,
): Promise<Progress> {
  const note = context.operation.status?.step?.note as RestartNote
  const pod = note.current === undefined ? left[0] : note.pods.find(({ name }) => name === note.current)
  if (!pod) return releaseAllocation(context, note)
  if (note.current === undefined) {
    await noteHolding(context, { ...note, current: pod.name })
    return { next: 'again' }
  }
  const there = pods.find(({ metadata }) => metadata.name === pod.name)
  if (there?.metadata.uid === pod.uid) {
    if (!there.metadata.deletionTimestamp) {
      // The database may have lost a node since the restriction was recorded.
      if (await whyNotHealthy(context, current)) return releaseAllocation(context, note)
      await context.sql.query(context.target, hold) // repeated: there may have been a crash between the record and the statement
      await context.cluster.remove(there)
    }
    return { next: 'wait', message: `Node ${replaced + 1} of ${note.pods.length}, ${pod.name}, is stopping.` }
  }
  if (!there || !isReady(there)) return { next: 'wait', message: `Node ${replaced} of ${note.pods.length}, ${pod.name}, is starting.` }
  return releaseAllocation(context, note)
}

async function releaseAllocation(context: WorkContext<DatabaseTarget>, { pods }: RestartNote): Promise<Progress> {
  await context.sql.query(context.target, release)
  await noteHolding(context, { pods })
  return { next: 'again' }
}

async function noteHolding(context: WorkContext<DatabaseTarget>, note: RestartNote): Promise<void> {
  const step = context.operation.status?.step
  if (step) await context.record({ phase: 'Waiting', step: { ...step, note } })
}

/** Why the next node must not be restarted yet. */
async function whyNotHealthy(context: WorkContext<DatabaseTarget>, { spec }: KubernetesObject): Promise<string | undefined> {
  const target = context.target
  const groups: { replicas: number }[] = [...spec.nodes.data, ...(spec.nodes.master ? [spec.nodes.master] : [])]
  const expected = groups.reduce((sum, { replicas }) => sum + replicas, 0)
  const nodes = await context.sql.query(target, 'SELECT count(*) FROM sys.nodes')
  if (nodes.rows[0]?.[0] !== expected) return `${nodes.rows[0]?.[0]} of ${expected} nodes are in the cluster.`
  const health = await context.sql.query(target, 'SELECT health FROM sys.health ORDER BY severity DESC LIMIT 1')
  const worst = health.rows[0]?.[0]
  return worst === undefined || worst === 'GREEN'
    ? undefined
    : `The health of ${namespaceOf(target.project)}/${target.database} is ${worst}.`
}
