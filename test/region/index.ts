import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseAllDocuments, stringify } from 'yaml'
import { isProblem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { createServingCertificate, type TestCluster } from '../cluster/index.ts'
import { programs } from '../programs.ts'
import { connectTo, install, installObject } from '../shared/kubernetes/connected.ts'
import { type AgentProcess, startAgentProcess } from './agent-process.ts'
import { partsOf } from './broker-url.ts'
import { allowingLabels, definitions } from './definitions.ts'
import { type MonitorProcess, startMonitorProcess } from './monitor-process.ts'
import type { ProgramOptions, RunningProgram } from './program.ts'

/** Everything that the agent and the monitor need to run against a cluster, as an installation would have left it. */
export type Region = {
  cluster: TestCluster
  /** The administrator's connection. */
  admin: Cluster
  /** A token with every scope, and one that may only read. */
  token: string
  readerToken: string
  /** PEM of the authority of the API's certificate. */
  ca: string
  namespace: string
  /** Starts one more agent, by its own service account and with the permissions that the product ships. */
  startAgent(options?: StartOptions): Promise<AgentProcess>
  /** Starts a monitor that tells of the region at this broker, in the same way, with these checks besides those it finds. */
  startMonitor(broker: BrokerAccess, options?: StartOptions & { checks?: object[] }): Promise<MonitorProcess>
  /** The edge node that the monitor is. */
  edgeNode: { group: string; node: string }
  /** Ends the programs that still run, and takes the files away. The cluster is whoever's it was. */
  close(): Promise<void>
}

export type StartOptions = {
  program?: string
  nodeArguments?: string[]
  onLog?: (line: string) => void
  signal?: AbortSignal
  /** Beside what tells it where the API server is. */
  env?: Record<string, string>
  /** Merged into the configuration, section by section. */
  config?: Sections
}

/** A configuration, section by section. */
type Sections = Record<string, Record<string, unknown>>

/** Where a broker is. Credentials may stand in the URL, as `mqtt://USER:PASSWORD@HOST`. */
export type BrokerAccess = { url: string }

export type RegionOptions = {
  /** Its id; `harbour-1` when left out. */
  id?: string
  /** Where the files of its programs are until `close`; whatever is there is removed. A temporary folder when left out. */
  directory?: string
  /** Where databases answer SQL: a template as in the agent's configuration. */
  sqlUrl?: string
  config?: Sections
}

const namespace = 'skerry'

/** Installs into the cluster what the chart would: definitions, namespace, service account, permissions. Starts nothing. */
export async function prepareRegion(cluster: TestCluster, options: RegionOptions = {}): Promise<Region> {
  const { id: regionId = 'harbour-1' } = options
  const directory = options.directory ?? (await mkdtemp(path.join(tmpdir(), 'skerry-')))
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory, { mode: 0o700 })
  const admin = connectTo(cluster)
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  await install(admin, [...definitions.skerry, ...definitions.crateDB, 'deploy/rbac/agent.yaml', 'deploy/kustomize/closed-namespaces.yaml'])
  if (await servesPolicies(admin)) await installBoundary(admin, (options.config?.metadata?.labels ?? []) as string[])
  const token = randomBytes(24).toString('base64url')
  const readerToken = randomBytes(24).toString('base64url')
  const { ca, cert, key } = await createServingCertificate()
  const keep = async (name: string, content: string) => {
    const file = path.join(directory, name)
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, content, { mode: 0o600 })
    return file
  }
  /** The folder that a pod of this service account finds. */
  const account = async (name: string) => {
    await keep(`${name}/ca.crt`, cluster.ca)
    return path.dirname(await keep(`${name}/token`, await cluster.serviceAccountToken(namespace, name)))
  }
  const agentConfig = {
    region: { id: regionId, name: 'Harbour' },
    api: {
      host: '127.0.0.1',
      port: 0,
      tls: { certFile: await keep('tls/tls.crt', cert), keyFile: await keep('tls/tls.key', key) },
    },
    admin: { host: '127.0.0.1', port: 0 },
    cluster: { namespace, serviceAccountDir: await account('skerry-agent') },
    identity: { tokensFile: await keep('tokens.yaml', stringify(tokens({ cloud: token, reader: readerToken }))) },
    ...(options.sqlUrl !== undefined && { databases: { sqlUrl: options.sqlUrl } }),
  }
  const { hostname, port } = new URL(cluster.url)
  const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }
  const running = new Set<RunningProgram>()
  let count = 0

  async function start<P extends RunningProgram>(
    startProcess: (options: ProgramOptions) => Promise<P>,
    program: string,
    { config = {}, env: more = {}, ...rest }: StartOptions,
    usual: Sections,
  ): Promise<P> {
    const configFile = await keep(`config-${count++}.yaml`, stringify(merged(usual, config)))
    const process = await startProcess({ program, configFile, env: { ...env, ...more }, ...rest })
    running.add(process)
    void process.exited.then(() => running.delete(process))
    return process
  }

  let monitorAccount: Promise<string> | undefined
  /** What the chart makes for the monitor; many a region has none. */
  async function installMonitor(): Promise<string> {
    await install(admin, ['deploy/rbac/monitor.yaml'])
    return account('skerry-monitor')
  }

  const edgeNode = { group: 'skerry', node: regionId }
  return {
    cluster,
    admin,
    token,
    readerToken,
    ca,
    namespace,
    edgeNode,
    startAgent: (given = {}) => start(startAgentProcess, programs.agent, given, merged(agentConfig, options.config ?? {})),
    async startMonitor(broker, { checks = [], ...given } = {}) {
      monitorAccount ??= installMonitor()
      const { username, password, ...server } = partsOf(broker.url)
      return start(startMonitorProcess, programs.monitor, given, {
        region: { id: regionId, name: 'Harbour' },
        cluster: { namespace, serviceAccountDir: await monitorAccount },
        sparkplug: {
          ...edgeNode,
          servers: [{ ...server, ...(username !== undefined && { username, passwordFile: await keep('mqtt-password', password ?? '') }) }],
        },
        metrics: { host: '127.0.0.1', port: 0 },
        checks: { file: await keep(`checks-${count}.yaml`, stringify({ checks })) },
        ...(options.sqlUrl !== undefined && { discovery: { databaseUrl: options.sqlUrl } }),
      })
    },
    async close() {
      await Promise.all([...running].map((process) => process.stop()))
      admin.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** The policy that confines the agent, for a site that allows these labels. */
async function installBoundary(admin: Cluster, labels: readonly string[]): Promise<void> {
  const [policy, binding] = parseAllDocuments(await readFile('deploy/kustomize/agent-boundary.yaml', 'utf8')).map((each) => each.toJS())
  for (const object of [allowingLabels(policy, labels), binding]) await installObject(admin, object)
}

/** Whether the API server has ValidatingAdmissionPolicies: those of Kubernetes 1.30 and newer do, the embedded one does not. */
export async function servesPolicies(admin: Cluster): Promise<boolean> {
  const path = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies'
  return admin.request({ method: 'GET', path }).then(
    () => true,
    (error) => {
      if (isProblem(error, 'not-served')) return false
      throw error
    },
  )
}

function tokens({ cloud, reader }: { cloud: string; reader: string }) {
  return [
    {
      name: 'cloud',
      sha256: sha256(cloud),
      scopes: ['region:read', 'projects:write', 'databases:write', 'deployments:write', 'region:write', 'tunnel:write'],
    },
    { name: 'reader', sha256: sha256(reader), scopes: ['region:read'] },
  ]
}

function merged(...layers: Sections[]): Sections {
  const result: Sections = {}
  for (const layer of layers) for (const [section, fields] of Object.entries(layer)) result[section] = { ...result[section], ...fields }
  return result
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
