import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { stringify } from 'yaml'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { createServingCertificate } from '../cluster/certificates.ts'
import { connectTo, install, installObject } from '../cluster/connected.ts'
import { definitions } from '../cluster/definitions.ts'
import type { TestCluster } from '../cluster/index.ts'
import { type AgentProcess, startAgentProcess } from './agent-process.ts'

/** Everything an agent needs to run against a cluster, as an installation would have left it. */
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
  startAgent(options?: StartAgentOptions): Promise<AgentProcess>
  /** Ends the agents that still run, and takes the files away. The cluster is whoever's it was. */
  close(): Promise<void>
}

export type StartAgentOptions = {
  program?: string
  nodeArguments?: string[]
  onLog?: (line: string) => void
  /** Merged into the configuration, section by section. */
  config?: Record<string, Record<string, unknown>>
}

export type RegionOptions = {
  /** Where databases answer SQL: a template as in the agent's configuration. */
  sqlUrl?: string
  config?: Record<string, Record<string, unknown>>
}

const namespace = 'skerry'

/** Installs into the cluster what the chart would: definitions, namespace, service account, permissions. Starts nothing. */
export async function prepareRegion(cluster: TestCluster, options: RegionOptions = {}): Promise<Region> {
  const directory = await mkdtemp(path.join(tmpdir(), 'skerry-'))
  const admin = await connectTo(cluster)
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  await install(admin, [...definitions.skerry, ...definitions.crateDB, 'deploy/rbac/agent.yaml'])
  const token = randomBytes(24).toString('base64url')
  const readerToken = randomBytes(24).toString('base64url')
  const { ca, cert, key } = await createServingCertificate()
  const account = await cluster.serviceAccountToken(namespace, 'skerry-agent')
  const files = {
    'account/token': account,
    'account/ca.crt': cluster.ca,
    'tls/tls.crt': cert,
    'tls/tls.key': key,
    'tokens.yaml': stringify([
      {
        name: 'cloud',
        sha256: sha256(token),
        scopes: ['region:read', 'projects:write', 'databases:write', 'deployments:write', 'tunnel:write'],
      },
      { name: 'reader', sha256: sha256(readerToken), scopes: ['region:read'] },
    ]),
  }
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(directory, name)), { recursive: true })
    await writeFile(path.join(directory, name), content, { mode: 0o600 })
  }
  const { hostname, port } = new URL(cluster.url)
  const agents = new Set<AgentProcess>()
  let count = 0

  async function startAgent({ program = 'agent/main.ts', config = {}, ...rest }: StartAgentOptions = {}): Promise<AgentProcess> {
    const configFile = path.join(directory, `agent-${count++}.yaml`)
    await writeFile(configFile, stringify(merged(configOf(directory, options), options.config ?? {}, config)))
    const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }
    const agent = await startAgentProcess({ program, configFile, env, ...rest })
    agents.add(agent)
    void agent.exited.then(() => agents.delete(agent))
    return agent
  }

  return {
    cluster,
    admin,
    token,
    readerToken,
    ca,
    namespace,
    startAgent,
    async close() {
      await Promise.all([...agents].map((agent) => agent.stop()))
      admin.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function configOf(directory: string, { sqlUrl }: RegionOptions): Record<string, Record<string, unknown>> {
  return {
    region: { id: 'harbour-1', name: 'Harbour' },
    api: {
      host: '127.0.0.1',
      port: 0,
      tls: { certFile: path.join(directory, 'tls/tls.crt'), keyFile: path.join(directory, 'tls/tls.key') },
    },
    admin: { host: '127.0.0.1', port: 0 },
    cluster: { namespace, serviceAccountDir: path.join(directory, 'account') },
    identity: { tokensFile: path.join(directory, 'tokens.yaml') },
    ...(sqlUrl !== undefined && { databases: { sqlUrl } }),
  }
}

function merged(...layers: Record<string, Record<string, unknown>>[]): Record<string, Record<string, unknown>> {
  const result: Record<string, Record<string, unknown>> = {}
  for (const layer of layers) for (const [section, fields] of Object.entries(layer)) result[section] = { ...result[section], ...fields }
  return result
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
