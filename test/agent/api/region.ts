import { createApi } from '../../../agent/api/app.ts'
import type { AuditRecord } from '../../../agent/api/audit.ts'
import type { Scope } from '../../../agent/api/http.ts'
import { limitsConfig } from '../../../agent/api/limits.ts'
import type { OpenResource } from '../../../agent/api/resource.ts'
import { openResources, scopes } from '../../../agent/api/resources.ts'
import { followRegistration, type ShownRegistration } from '../../../agent/cloud/registration/cache.ts'
import { openRecovery, type Recovery } from '../../../agent/export/index.ts'
import { recoverySection } from '../../../agent/export/settings.ts'
import { exportConfigMapName } from '../../../agent/export/state.ts'
import { createAcceptedState } from '../../../agent/operations/accepted.ts'
import type { Actions } from '../../../agent/operations/actions/action.ts'
import { actions } from '../../../agent/operations/actions/index.ts'
import type { DecisionParts } from '../../../agent/operations/deciding/decision.ts'
import { decisionParts } from '../../../agent/operations/deciding/parts.ts'
import { createJournal, type Journal } from '../../../agent/operations/journal.ts'
import { type Caches, createCaches } from '../../../agent/region/caches.ts'
import { createDatabaseViews } from '../../../agent/region/database-view.ts'
import type { Obstacles } from '../../../agent/region/obstacles/index.ts'
import { createOperatorCache } from '../../../agent/region/operator.ts'
import { createProjectViews } from '../../../agent/region/project-view.ts'
import type { DatabaseSql } from '../../../agent/region/sql.ts'
import { createStack } from '../../../agent/region/stack.ts'
import { desiredCrateDB } from '../../../agent/resources/cratedb.ts'
import { databaseSpec, splitSecrets } from '../../../agent/resources/database.ts'
import { desiredSecrets } from '../../../agent/resources/database-secrets.ts'
import type { Target } from '../../../agent/resources/kind.ts'
import { desiredProject, projectSpec } from '../../../agent/resources/project.ts'
import type { Tunnel } from '../../../agent/tunnel/settings.ts'
import { createTunnelCaches, type TunnelInUse } from '../../../agent/tunnel/state.ts'
import { systemClock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import { applyObject } from '../../../shared/kubernetes/apply.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../shared/log.ts'
import { startCluster } from '../../cluster/index.ts'
import { definitions, regionDefinitions } from '../../region/definitions.ts'
import { connectTo, install, installObject } from '../../shared/kubernetes/connected.ts'
import { leaseInHand } from '../controllers/region.ts'
import { type Conformance, createConformance } from './conforms.ts'

// biome-ignore lint/suspicious/noExplicitAny: a test looks into what it got
export type Answered = { status: number; headers: Headers; body: any; text: string }
/** `stopping` aborts when the agent stops. */
type Given = { body?: unknown; headers?: Record<string, string>; stopping?: AbortSignal }
export type Call = (method: string, path: string, given?: Given) => Promise<Answered>

export const namespace = 'skerry'
export const operatorAt = { namespace: 'crate-operator', deployment: 'crate-operator' }
const log = createLog({ level: process.env.TEST_LOG === undefined ? 'fatal' : 'debug', name: 'test' })

/** No database answers. */
const noDatabase: DatabaseSql = {
  query: async () => {
    throw new Problem('database-unreachable', 'No database answers in this test.')
  },
}

/** The API over a cluster, called without a network. Every answer is held against the OpenAPI document. */
export type Api = {
  call: Call
  resources: Required<OpenResource>
  recovery: Recovery
  records: AuditRecord[]
  conformance: Conformance
  as(granted: readonly Scope[]): Call
}

export function createApiOver(
  {
    probe = async () => [],
    ...parts
  }: {
    cluster: Cluster
    caches: Caches
    journal: Journal
    obstacles: Pick<Obstacles, 'of'>
    tunnel?: TunnelInUse | undefined
    registration?: ShownRegistration | undefined
    actions?: Actions
    /** None answers if left out. */
    sql?: DatabaseSql
    /** What a trial of a bucket finds: nothing if left out. */
    probe?: DecisionParts['probe'] | undefined
  },
  operator: ReturnType<typeof createOperatorCache>,
): Api {
  const minutes = (count: number) => count * 60_000
  const timeouts = {
    create: minutes(45),
    change: minutes(360),
    delete: minutes(60),
    restore: minutes(1440),
    password: minutes(30),
    backup: minutes(1440),
  }
  const config = {
    region: { id: 'harbour-1', name: 'Harbour' },
    cluster: { namespace },
    crateOperator: operatorAt,
    databases: {
      imageRegistry: 'crate',
      heapDumpVolume: '64Gi',
      backupEndpoints: { allowed: ['.allowed.svc', '10.96.7.0/24'], clusterNetworks: ['10.96.0.0/12'] },
    },
    operations: { timeouts },
    metadata: { labels: ['team', 'example.org/'], annotations: ['example.org/'] },
    recovery: recoverySection.parse({ export: { file: '/var/lib/skerry/region.json' }, import: { hostFolders: ['/srv/volumes'] } }),
  }
  const { caches } = parts
  const views = { projects: createProjectViews(caches), databases: createDatabaseViews(caches, { clock: systemClock }) }
  const reading = () => ({ cloud: undefined, apiServer: undefined, nodes: new Map(), steps: 0, lastStep: undefined })
  const clocks = { read: reading, shown: reading, nodesFrom: { heardAt: undefined, trouble: undefined } }
  // Not started: what runs in the cluster besides databases is not known.
  const stack = createStack([], { cluster: parts.cluster, clock: systemClock, log })
  const seen = { stack, views, operator, clocks, kubernetes: { current: 'v1.35.0' }, accepted: createAcceptedState(parts) }
  // Nobody acts here.
  const lease = leaseInHand(false)
  const deciding = decisionParts(config, { sql: noDatabase, ...seen, clock: systemClock, ...parts, probe })
  const recovery = openRecovery(config, { ...parts, ...seen, lease, key: async () => undefined, clock: systemClock, log })
  const resources = openResources({ actions, ...parts, ...seen, deciding, config, lease, recovery, clock: systemClock, log })
  const conformance = createConformance(resources.routes)
  const records: AuditRecord[] = []

  function as(granted: readonly Scope[]): Call {
    const app = createApi(limitsConfig.parse({ requestsPerSecond: 1e6, burst: 1e6 }), {
      routes: resources.routes,
      authentication: { identify: async () => ({ name: 'cloud', scopes: new Set(granted) }) },
      audit: { record: (record) => void records.push(record) },
      observe: () => {},
      version: '0.0.0',
      clock: systemClock,
      log,
    })
    return async (method, path, { body, headers = {}, stopping } = {}) => {
      const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
      const request = {
        method,
        headers: { ...(body !== undefined && { 'content-type': contentType }), ...headers },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }
      const response = await app.request(path, request, { stopping })
      const text = await response.text()
      conformance.check(method, path, response, text)
      return { status: response.status, headers: response.headers, text, body: text === '' ? undefined : JSON.parse(text) }
    }
  }

  return { call: as(scopes), resources, recovery, records, conformance, as }
}

/** A region in which nobody acts: what is accepted stays as it is, and what stands was put there by the test. */
export type QuietRegion = Api & {
  admin: Cluster
  caches: Caches
  /** What a controller of Kubernetes would write comes into the caches alone: on a real control plane that controller would write back. */
  seen(object: KubernetesObject): void
  journal: Journal
  obstacles: { of: Obstacles['of'] }
  /** A project that is ready, with its namespace. */
  standProject(given: Record<string, unknown> & { id: string }): Promise<KubernetesObject>
  /** A database that the Crate Operator made and that is fine, with its Secrets. */
  standDatabase(project: string, given: Record<string, unknown> & { id: string }): Promise<KubernetesObject>
  /** Merges a change into a CrateDB, as the operator does. */
  operatorWrites(project: string, id: string, change: object): Promise<KubernetesObject>
  /** Applies an object, its status too, and waits until the caches have it. */
  stand(object: KubernetesObject): Promise<KubernetesObject>
  /** Ends everything that is accepted, as somebody else would. */
  end(operation: string, status: Record<string, unknown>): Promise<void>
  /** Of the administrator. */
  kubeconfig(): string
  close(): Promise<void>
}

export async function startQuietRegion(given: { tunnel?: Tunnel; hasCloud?: boolean } = {}): Promise<QuietRegion> {
  const cluster = await startCluster({ crds: regionDefinitions() })
  const admin = connectTo(cluster)
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  await install(admin, [...definitions.skerry, ...definitions.crateDB])
  const tools = { cluster: admin, clock: systemClock, log }
  const caches = createCaches({ namespace }, tools)
  const operator = createOperatorCache({ namespace: operatorAt.namespace, name: operatorAt.deployment }, tools)
  const journal = createJournal({ namespace }, { cluster: admin, operations: caches.operations, ledger: caches.ledger, clock: systemClock })
  const obstacles: { of: Obstacles['of'] } = { of: async () => [] }
  const tunnel = given.tunnel && { tunnel: given.tunnel, caches: createTunnelCaches(given.tunnel, tools) }
  const registration = given.hasCloud ? followRegistration(namespace, tools) : undefined
  const known = { cluster: admin, caches, journal, obstacles: { of: (target: Target) => obstacles.of(target) }, tunnel, registration }
  const api = createApiOver(known, operator)
  const exported = api.recovery.cache
  const others = [...(registration ? [registration.cache] : []), ...(exported ? [exported] : [])]
  const parts = [...Object.values(caches), operator, ...Object.values(tunnel?.caches ?? {}), ...others]
  await Promise.all(parts.map((part) => part.start(new AbortController().signal)))
  await journal.start(new AbortController().signal)

  async function stand({ status, ...object }: KubernetesObject): Promise<KubernetesObject> {
    const given = object as KubernetesObject
    let applied = await applyObject(admin, given, { fieldManager: 'skerry-agent', force: true })
    if (status !== undefined) {
      const path = `${pathOfObject(given)}/status`
      applied = await admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { status } })
    }
    if (given.kind === 'CrateDB') caches.databases.put(applied)
    if (given.kind === 'Project') caches.projects.put(applied)
    if (given.kind === 'StorageClass') caches.storageClasses.put(applied)
    if (given.metadata.name === exportConfigMapName) exported?.put(applied)
    return applied
  }

  let version = 1_000_000_000
  function seen(object: KubernetesObject): void {
    const kinds = { Pod: caches.pods, Service: caches.services, StatefulSet: caches.statefulSets, Deployment: operator }
    const newest = { ...object, metadata: { ...object.metadata, resourceVersion: String(version++) } }
    kinds[object.kind as keyof typeof kinds].put(newest)
  }

  async function operatorWrites(project: string, id: string, body: object): Promise<KubernetesObject> {
    const path = pathOf(kinds.CrateDB, `project-${project}`, id)
    const written = await admin.request<KubernetesObject>({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
    caches.databases.put(written)
    return written
  }

  return {
    ...api,
    admin,
    caches,
    seen,
    journal,
    obstacles,
    stand,
    async standProject(given) {
      const conditions = [{ type: 'Ready', status: 'True', reason: 'Ready', message: 'Ready.', lastTransitionTime: '2026-01-31T12:00:00Z' }]
      await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: `project-${given.id}` } })
      return stand({
        ...desiredProject(projectSpec.parse(given)),
        status: { conditions, namespace: `project-${given.id}`, usage: { databases: 0 } },
      })
    },
    async standDatabase(project, given) {
      const target = { kind: 'database' as const, project, database: given.id }
      const { spec, secrets } = splitSecrets(databaseSpec.parse({ ...usualDatabase, ...given }))
      for (const secret of desiredSecrets(target, spec, secrets)) await stand(secret)
      const made = await stand(desiredCrateDB(target, spec, { imageRegistry: 'crate' }))
      const annotations = { 'operator.cloud.crate.io/last': JSON.stringify({ spec: made.spec }) }
      const done = { success: true, ref: 'a' }
      const status = {
        'cluster_create/bootstrap': done,
        // As an operator that has the image for backups leaves it.
        ...(spec.backups && { 'cluster_create/backup': done }),
        crateDBStatus: { health: 'GREEN' },
      }
      return operatorWrites(project, given.id, { metadata: { annotations }, status })
    },
    operatorWrites,
    async end(operation, status) {
      const present = await journal.find(operation)
      if (!present) throw new Error(`no operation ${operation}`)
      const path = `${pathOfObject(present)}/status`
      const ended = { startedAt: '2026-01-31T12:00:00.000Z', endedAt: '2026-01-31T12:00:01.000Z', ...status }
      caches.operations.put(
        await admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { status: ended } }),
      )
    },
    kubeconfig: () => cluster.kubeconfig(),
    async close() {
      await Promise.all(parts.map((part) => part.stop(0)))
      admin.close()
      await cluster.stop()
    },
  }
}

export const usualNodes = { count: 3, cpu: 2, memory: '4Gi', disk: { count: 1, size: '64Gi', storageClass: 'crate-premium' } }

/** A database that nothing is wrong with. */
export const usualDatabase = {
  version: '5.10.1',
  nodes: usualNodes,
  users: [{ name: 'harbourmaster', password: 'correct horse battery' }],
  allowedCIDRs: ['10.20.0.0/16'],
}

/** Two classes: volumes of the first can grow. */
export const storageClasses: KubernetesObject[] = ['crate-premium', 'crate-rigid'].map((name) => ({
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name },
  provisioner: 'example.org/disks',
  allowVolumeExpansion: name === 'crate-premium',
  reclaimPolicy: 'Delete',
}))
