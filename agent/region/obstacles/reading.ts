import type { Clock } from '../../../shared/clock.ts'
import { isProblem } from '../../../shared/errors.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type Kind, type KubernetesObject, keyOf, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { readOperatorRun } from '../../resources/cratedb-run.ts'
import type { DataVolume } from '../../resources/kept-volume.ts'
import { namespaceOf, type TargetInProject } from '../../resources/kind.ts'
import type { Caches } from '../caches.ts'
import { type Evidence, isPast, isReady, type MissingSecret, momentOfEvent, type Unread } from './evidence.ts'
import { secretsOf } from './secrets.ts'

type ReadingConfig = {
  /** The agent's own namespace, where the pull secrets come from. */
  namespace: string
  /** The Deployment of the Crate Operator. */
  operator: { namespace: string; name: string }
}

export type ReadingTools = { cluster: Cluster; caches: Caches; clock: Clock; config: ReadingConfig }

/** The maximum age of an Event that is considered, in milliseconds: the controller of StatefulSets retries after at most 17 minutes. */
const eventsAgeMs = 20 * 60_000
const timeoutMs = 5_000
/** The maximum number of objects that are read from each collection. More would not improve the answer. */
const most = 500

/**
 * Reads the evidence about a target: its objects from the API server, nodes, storage classes and volumes from the caches.
 *
 * Events, attachments and the existence of Secrets are read only if an object has a problem that they can explain. Never throws: parts that
 * could not be read are in `unread`.
 */
export async function readEvidence(target: TargetInProject, tools: ReadingTools): Promise<Evidence> {
  const { caches, clock, config } = tools
  const unread: Unread[] = []
  const { get, list } = reader(tools.cluster, unread)
  const namespaceName = namespaceOf(target.project)
  const now = clock.now()
  // PVCs have only the labels of the StatefulSet's selector.
  const own: Record<string, string> =
    target.kind === 'database' ? { labelSelector: `app.kubernetes.io/name=${target.database},app.kubernetes.io/component=cratedb` } : {}

  const [namespace, project, operator, databases, statefulSets, pods, services, claims] = await Promise.all([
    get(kinds.Namespace, undefined, namespaceName),
    get(kinds.Project, undefined, target.project),
    get(kinds.Deployment, config.operator.namespace, config.operator.name),
    target.kind === 'database'
      ? get(kinds.CrateDB, namespaceName, target.database).then((database) => (database ? [database] : []))
      : list(kinds.CrateDB, namespaceName),
    list(kinds.StatefulSet, namespaceName, own),
    list(kinds.Pod, namespaceName, own),
    list(kinds.Service, namespaceName, own),
    list(kinds.PersistentVolumeClaim, namespaceName, own),
  ])
  const evidence: Evidence = {
    ...{ target, now, namespaceName, namespace, project, operator, databases, statefulSets, pods, services, claims, unread },
    volumes: volumesOf(claims, { unread, caches }),
    operatorName: config.operator,
    nodes: caches.nodes.synced ? [...caches.nodes.values()] : undefined,
    storageClasses: caches.storageClasses.synced ? [...caches.storageClasses.values()] : undefined,
    attachments: [],
    events: [],
    missingSecrets: [],
  }

  /** The latest Events about objects of a kind, if one of these objects has a problem. */
  const eventsOf = async (kind: string, wrong: boolean) => {
    const found = wrong ? await list(kinds.Event, namespaceName, { fieldSelector: `involvedObject.kind=${kind}` }) : []
    return found.filter((event) => !isPast(momentOfEvent(event), eventsAgeMs, now))
  }
  const volumeNames = new Set(claims.flatMap(({ spec }) => spec?.volumeName ?? []))
  const [attachments, missingSecrets, ...events] = await Promise.all([
    pods.some(waitsOnItsNode) && volumeNames.size > 0 ? list(kinds.VolumeAttachment) : [],
    missingOf(secretsToLookFor(evidence, config.namespace), get),
    eventsOf('CrateDB', databases.some(endedWithoutBootstrap)),
    eventsOf(
      'StatefulSet',
      statefulSets.some((set) => (set.status?.replicas ?? 0) < (set.spec?.replicas ?? 0)),
    ),
    eventsOf('PersistentVolumeClaim', claims.some(isUnsettled)),
    eventsOf('Pod', pods.some(waitsOnItsNode)),
    eventsOf(
      'Service',
      services.some(({ spec, status }) => spec?.type === 'LoadBalancer' && !status?.loadBalancer?.ingress?.length),
    ),
  ])
  return {
    ...evidence,
    attachments: attachments.filter(({ spec }) => volumeNames.has(spec?.source?.persistentVolumeName)),
    missingSecrets,
    events: events.flat().sort((a, b) => Date.parse(momentOfEvent(a) ?? '') - Date.parse(momentOfEvent(b) ?? '')),
  }
}

function volumesOf(
  claims: KubernetesObject[],
  { unread, caches }: Pick<Evidence, 'unread'> & { caches: Caches },
): DataVolume[] | undefined {
  if (!caches.volumes.synced || unread.some(({ what }) => what === kinds.PersistentVolumeClaim.plural)) return undefined
  const keys = new Set(claims.map(({ metadata }) => keyOf(metadata)))
  return [...caches.volumes.values()].flatMap(({ data }) => (data && keys.has(keyOf(data.claim)) ? data : []))
}

type Get = (kind: Kind, namespace: string | undefined, name: string) => Promise<KubernetesObject | null | undefined>

function reader(cluster: Cluster, unread: Unread[]) {
  async function read<T>(path: string, what: string, query: Record<string, string | number>, absent: T): Promise<T | undefined> {
    try {
      return await cluster.request<T>({ method: 'GET', path, query, timeoutMs })
    } catch (error) {
      if (isProblem(error, 'not-found', 'not-served')) return absent
      const detail = error instanceof Error ? error.message : String(error)
      unread.push({ what, path, reason: isProblem(error, 'cluster-forbidden') ? 'forbidden' : 'unreachable', detail })
      return undefined
    }
  }
  const get: Get = async (kind, namespace, name) =>
    read<KubernetesObject | null>(pathOf(kind, namespace, name), `${kind.kind} ${name}`, {}, null)

  async function list(kind: Kind, namespace?: string, query: Record<string, string> = {}): Promise<KubernetesObject[]> {
    const found = await read<{ items?: KubernetesObject[] }>(pathOf(kind, namespace), kind.plural, { ...query, limit: most }, {})
    return (found?.items ?? []).map((item) => ({ ...item, apiVersion: kind.apiVersion, kind: kind.kind }))
  }
  return { get, list }
}

/** The pull secrets of a project; the Secrets that a database refers to, if the database may be waiting for one. */
function secretsToLookFor({ target, namespaceName, databases, project, pods }: Evidence, agentNamespace: string): MissingSecret[] {
  if (target.kind === 'project') {
    const names: string[] = project?.spec?.imagePullSecrets ?? []
    return names.map((name) => ({
      namespace: agentNamespace,
      name,
      usedFor: `pulling images (imagePullSecrets of project ${target.project})`,
      isPullSecret: true,
    }))
  }
  const [database] = databases
  if (!database || database.metadata.deletionTimestamp !== undefined) return []
  const mayWait = readOperatorRun(database).state !== 'ended' || endedWithoutBootstrap(database) || pods.some((pod) => !isReady(pod))
  if (!mayWait) return []
  return [...secretsOf(database)].map(([name, reference]) => ({ namespace: namespaceName, name, ...reference }))
}

/** The Secrets that do not exist. Their content is not looked at. */
async function missingOf(secrets: MissingSecret[], get: Get): Promise<MissingSecret[]> {
  const found = await Promise.all(secrets.map(async ({ namespace, name }) => (await get(kinds.Secret, namespace, name)) !== null))
  return secrets.filter((_, index) => !found[index])
}

function endedWithoutBootstrap(database: KubernetesObject): boolean {
  return readOperatorRun(database).state === 'ended' && !database.status?.['cluster_create/bootstrap']?.success
}

function waitsOnItsNode({ spec, status }: KubernetesObject): boolean {
  return spec?.nodeName !== undefined && status?.phase === 'Pending'
}

function isUnsettled({ spec, status }: KubernetesObject): boolean {
  return status?.phase !== 'Bound' || spec?.resources?.requests?.storage !== status?.capacity?.storage
}
