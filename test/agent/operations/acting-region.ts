import { createBackupRecords } from '../../../agent/controllers/backup-records.ts'
import { createDeletionController } from '../../../agent/controllers/deletions.ts'
import { createProjectController } from '../../../agent/controllers/projects.ts'
import { createRehearsalController } from '../../../agent/controllers/rehearsals.ts'
import { createRetainedController } from '../../../agent/controllers/retained-databases.ts'
import { createVolumeController } from '../../../agent/controllers/volumes.ts'
import { createAcceptedState } from '../../../agent/operations/accepted.ts'
import type { Actions } from '../../../agent/operations/actions/action.ts'
import { actions as usualActions } from '../../../agent/operations/actions/index.ts'
import { decisionParts } from '../../../agent/operations/deciding/parts.ts'
import { createExecutor } from '../../../agent/operations/executor.ts'
import { createJournal, type Journal, type Proposal } from '../../../agent/operations/journal.ts'
import type { Requests } from '../../../agent/operations/own-request.ts'
import { createRequests } from '../../../agent/operations/requests.ts'
import { createWaitingNotes } from '../../../agent/operations/waiting.ts'
import { type Caches, createCaches } from '../../../agent/region/caches.ts'
import { createObstacles } from '../../../agent/region/obstacles/index.ts'
import { createOperatorCache } from '../../../agent/region/operator.ts'
import { createDatabaseSql, type DatabaseSql } from '../../../agent/region/sql.ts'
import { databaseSpec, type GivenDatabaseSpec, type StoredDatabaseSpec, splitSecrets } from '../../../agent/resources/database.ts'
import { hasEnded, type Operation } from '../../../agent/resources/operation.ts'
import { projectSpec } from '../../../agent/resources/project.ts'
import { type Clock, systemClock } from '../../../shared/clock.ts'
import type { Cluster, ClusterRequest } from '../../../shared/kubernetes/connection.ts'
import { createEventRecorder } from '../../../shared/kubernetes/event-recorder.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { createLog, type Log } from '../../../shared/log.ts'
import { type StandIns, startCluster, startStandIns, type TestCluster } from '../../cluster/index.ts'
import { definitions, regionDefinitions } from '../../region/definitions.ts'
import { connectTo, install, installObject } from '../../shared/kubernetes/connected.ts'
import { leaseInHand } from '../controllers/region.ts'

const namespace = 'skerry'
/** Of warnings and worse; all of them are printed too where TEST_LOG is set. */
function keptLog(lines: Record<string, unknown>[]): Log {
  const print = process.env.TEST_LOG !== undefined
  const write = (line: string) => {
    lines.push(JSON.parse(line))
    if (print) process.stderr.write(line)
  }
  return createLog({ level: print ? 'debug' : 'warn', name: 'test', destination: { write } })
}

/** Sends a request, or does not; what it throws is the answer. */
export type Around = (request: ClusterRequest, send: () => Promise<unknown>) => Promise<unknown>

/** Sends a statement, or does not; what it throws is the answer. */
export type AroundSql = (
  statement: string,
  send: () => ReturnType<DatabaseSql['query']>,
  database: string,
) => ReturnType<DatabaseSql['query']>

/** The acting half of the agent, in this process: journal, executor and project controller over a cluster with stand-ins. */
export type ActingRegion = {
  cluster: TestCluster
  admin: Cluster
  standIns: StandIns
  caches: Caches
  journal: Journal
  /** Asks in the name of the agent itself. */
  requests: Requests
  /** Asks the databases of the stand-in. */
  sql: DatabaseSql
  /** Lines of its log, warnings and worse. */
  logged: Record<string, unknown>[]
  accept(proposal: Omit<Proposal, 'tryOut' | 'plan' | 'timeoutSeconds'> & { timeoutSeconds?: number }): Promise<Operation>
  putProject(id: string): Promise<Operation>
  putDatabase(project: string, given: Partial<GivenDatabaseSpec> & { id: string }): Promise<Operation>
  /** The operation once it has ended. @throws Error with its status when it does not */
  ended(operation: Operation, withinMs?: number): Promise<Operation>
  /** The operation once that holds of it. */
  whenOperation(operation: Operation, holds: (operation: Operation) => boolean, withinMs?: number): Promise<Operation>
  cratedb(project: string, id: string): Promise<KubernetesObject>
  /** Has every request of the acting half go through `around` from now on; as they are without one. A restart forgets it. */
  intercept(around?: Around): void
  /** The same for what it asks of databases. */
  interceptSql(around?: AroundSql): void
  /** Has the acting half hear nothing of that collection, such as `cratedbs`, until what it returns is called. */
  withhold(plural: string): () => void
  /** Gives the Lease to the acting half, or takes it away. */
  lead(leads: boolean): void
  /** Lets so many milliseconds pass for the acting half, which does not come back from there. */
  pass(ms: number): void
  /** Ends the executor and everything it holds in memory, and starts another one, perhaps of a version with other actions. */
  restart(actions?: Actions): Promise<void>
  close(): Promise<void>
}

/** @param actions those of the product if left out @param crateDb the CRD of CrateDB */
export async function startActingRegion(actions: Actions = usualActions, { crateDb }: { crateDb?: string } = {}): Promise<ActingRegion> {
  const cluster = await startCluster({ crds: regionDefinitions(crateDb) })
  const admin = connectTo(cluster)
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  await install(admin, definitions.skerry)
  const standIns = await startStandIns(cluster, { operator: { stepMs: 2 } })
  let ahead = 0
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + ahead, monotonic: () => systemClock.monotonic() + ahead }
  const logged: Record<string, unknown>[] = []
  const log = keptLog(logged)
  let half = await startHalf(actions, admin, standIns, clock, log)
  let requests = 0

  async function accept(proposal: Parameters<ActingRegion['accept']>[0]): Promise<Operation> {
    const requestId = `request-${requests++}`
    const whole = { timeoutSeconds: 600, tryOut: [], plan: [], ...proposal }
    const accepted = await half.journal.accept({
      target: whole.target,
      requestedBy: 'test',
      requestId,
      canonical: requestId,
      decide: () => whole,
    })
    if (accepted.outcome !== 'accepted') throw new Error(`not accepted: ${accepted.outcome}`)
    return accepted.operation
  }

  async function whenOperation(operation: Operation, holds: (operation: Operation) => boolean, withinMs = 60_000): Promise<Operation> {
    const { operations } = half.caches
    const key = `${namespace}/${operation.metadata.name}`
    return new Promise((resolve, reject) => {
      const look = () => {
        const now = operations.get(key)
        if (!now || !holds(now)) return
        clearTimeout(timer)
        unsubscribe()
        resolve(now)
      }
      const unsubscribe = operations.subscribe(look)
      const timer = setTimeout(() => {
        unsubscribe()
        reject(new Error(`not within ${withinMs} ms: ${JSON.stringify(operations.get(key)?.status, null, 1)}`))
      }, withinMs)
      // What waits for a half that has died holds no process back.
      timer.unref()
      look()
    })
  }

  return {
    cluster,
    admin,
    standIns,
    get caches() {
      return half.caches
    },
    get journal() {
      return half.journal
    },
    get requests() {
      return half.requests
    },
    sql: createDatabaseSql({ sqlUrl: `${standIns.database.url}/{namespace}/{database}/_sql` }, { cluster: admin, caches: half.caches }),
    logged,
    accept,
    whenOperation,
    putProject: (id) => accept({ action: 'put', target: { kind: 'project', project: id }, wanted: projectSpec.parse({ id }) }),
    putDatabase(project, given) {
      const { spec, secrets } = splitSecrets(databaseSpec.parse(smallDatabase(given)))
      return accept({ action: 'put', target: { kind: 'database', project, database: given.id }, wanted: spec, secrets })
    },
    ended: (operation, withinMs) => whenOperation(operation, hasEnded, withinMs),
    cratedb: (project, id) => admin.request({ method: 'GET', path: pathOf(kinds.CrateDB, `project-${project}`, id) }),
    intercept: (around) => half.intercept(around),
    interceptSql: (around) => half.interceptSql(around),
    withhold: (plural) => half.withhold(plural),
    lead: (leads) => half.lead(leads),
    pass(ms) {
      ahead += ms
    },
    async restart(others = actions) {
      await half.stop()
      half = await startHalf(others, admin, standIns, clock, log)
    },
    async close() {
      await half.stop()
      await standIns.stop()
      admin.close()
      await cluster.stop()
    },
  }
}

/** A valid request for a small database. */
export function smallDatabase(given: Partial<GivenDatabaseSpec> & { id: string }): Record<string, unknown> {
  return {
    version: '5.10.1',
    nodes: { count: 1, cpu: '500m', memory: '1Gi', disk: { size: '8Gi', storageClass: 'crate-premium' } },
    users: [{ name: 'harbourmaster', password: 'a long enough password' }],
    allowedCIDRs: ['10.20.0.0/16'],
    ...given,
  }
}

/** The spec that an accepted change of a database asks for. */
export function changed(operation: Operation, change: Partial<StoredDatabaseSpec>): StoredDatabaseSpec {
  return { ...(operation.spec.wanted as StoredDatabaseSpec), ...change }
}

const minutes = (count: number) => count * 60_000
const decidingConfig = {
  region: { id: 'harbour-1' },
  cluster: { namespace },
  crateOperator: { namespace: 'crate-operator', deployment: 'crate-operator' },
  databases: { imageRegistry: 'crate', heapDumpVolume: '64Gi', backupEndpoints: { allowed: [], clusterNetworks: [] } },
  operations: {
    timeouts: {
      create: minutes(45),
      change: minutes(360),
      delete: minutes(60),
      restore: minutes(1440),
      password: minutes(30),
      backup: minutes(1440),
    },
  },
  metadata: { labels: ['team', 'example.org/'], annotations: ['example.org/'] },
  recovery: { import: { hostFolders: ['/srv/volumes'] } },
}

async function startHalf(actions: Actions, admin: Cluster, standIns: StandIns, clock: Clock, log: Log) {
  let around: Around | undefined
  const withheld = new Map<string, Promise<void>>()
  const cluster: Cluster = {
    ...admin,
    // biome-ignore lint/suspicious/noExplicitAny: as the interface has it
    request: (request): Promise<any> => (around ? around(request, () => admin.request(request)) : admin.request(request)),
    async *watch(path, query, signal) {
      for await (const event of admin.watch(path, query, signal)) {
        await withheld.get(path.slice(path.lastIndexOf('/') + 1))
        yield event
      }
    },
  }
  const tools = { cluster, clock, log }
  const caches = createCaches({ namespace }, tools)
  const journal = createJournal({ namespace }, { cluster, operations: caches.operations, ledger: caches.ledger, clock })
  const lease = leaseInHand()
  const obstacles = createObstacles({
    ...tools,
    caches,
    config: { namespace, operator: { namespace: 'crate-operator', name: 'crate-operator' } },
  })
  const databases = createDatabaseSql({ sqlUrl: `${standIns.database.url}/{namespace}/{database}/_sql` }, { cluster, caches })
  let aroundSql: AroundSql | undefined
  const sql: DatabaseSql = {
    query: (...given) => (aroundSql ? aroundSql(given[1], () => databases.query(...given), given[0].database) : databases.query(...given)),
  }
  const operator = createOperatorCache({ namespace: 'crate-operator', name: 'crate-operator' }, tools)
  const accepted = createAcceptedState({ journal, caches })
  const deciding = decisionParts(decidingConfig, { cluster, accepted, caches, operator, journal, sql, clock, probe: async () => [] })
  const requests = createRequests({ ...deciding, actions, journal })
  const projects = createProjectController(
    {
      namespace,
      network: { operatorNamespace: 'crate-operator', scrapeNamespaces: [] },
      accounts: { agent: 'skerry-agent', monitor: 'skerry-monitor' },
      allowedLabels: [],
      parallelism: 4,
      recheckMs: 1_000,
    },
    { ...tools, caches, lease, obstacles },
  )
  const volumes = createVolumeController({ namespace }, { ...tools, caches, lease })
  const deletions = createDeletionController({ namespace }, { ...tools, caches, journal, lease })
  const recorder = createEventRecorder({ fieldManager: 'test' }, tools)
  const retained = createRetainedController(
    { namespace, foundAfterMs: 20 },
    { ...tools, caches, journal, lease, requests, recorder, expiryTime: () => clock.now() },
  )
  const executor = createExecutor(
    { namespace, parallelism: 8, recheckMs: 500, imageRegistry: 'crate' },
    { ...tools, actions, journal, caches, lease, obstacles, sql, requests },
  )
  const waiting = createWaitingNotes({ namespace, parallelism: 8 }, { ...tools, journal, caches, lease, queue: executor })
  const records = createBackupRecords({ ...tools, caches, journal, lease })
  const rehearsals = createRehearsalController({ namespace }, { ...tools, caches, journal, lease, accepted, requests })
  const controllers = [projects, volumes, deletions, recorder, retained, rehearsals, records]
  const parts = [...Object.values(caches), operator, journal, ...controllers, executor, waiting]
  const signal = new AbortController().signal
  for (const part of parts) await part.start(signal)
  return {
    caches,
    journal,
    requests,
    lead: lease.set,
    intercept(given: Around | undefined) {
      around = given
    },
    interceptSql(given: AroundSql | undefined) {
      aroundSql = given
    },
    withhold(plural: string) {
      const { promise, resolve } = Promise.withResolvers<void>()
      withheld.set(plural, promise)
      return () => {
        withheld.delete(plural)
        resolve()
      }
    },
    async stop() {
      for (const part of parts.toReversed()) await part.stop(performance.now() + 5_000)
    },
  }
}
