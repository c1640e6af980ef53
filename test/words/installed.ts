import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import { until } from '../cluster/index.ts'
import { helm } from '../deploy/helm.ts'
import { startAgentProcess } from '../region/agent-process.ts'
import { type Client, createClient } from '../region/client.ts'
import { startMonitorProcess } from '../region/monitor-process.ts'
import { persistent } from '../region/scenario.ts'
import type { Scene } from './scene.ts'

export type Installed = Awaited<ReturnType<typeof startInstalled>>

const home = '/api/v1/namespaces/skerry'
const scopes = ['region:read', 'projects:write', 'databases:write', 'tunnel:write']

export const newToken = () => randomBytes(24).toString('base64url')

/** A caller as `agent.tokens.list` of the chart has it. */
export function callerOf(name: string, token: string) {
  return { name, sha256: createHash('sha256').update(token).digest('hex'), scopes }
}

/** What the region is told besides its id: who may call, and a tunnel that may lead to Grafana. */
export function valuesFor(token: string, sqlUrl: string): object {
  return {
    agent: {
      tokens: { list: [callerOf('cloud', token)] },
      config: { databases: { sqlUrl: `${sqlUrl}/{namespace}/{database}/_sql` }, operations: { recheck: '500ms' } },
    },
    cloudflared: {
      enabled: true,
      tunnel: '6ff42ae2-765d-4adf-8112-31c55c1551ef',
      credentials: { existingSecret: 'tunnel' },
      agent: { hostname: 'harbour-1.regions.example' },
      grafana: { enabled: false, hostname: 'grafana-harbour-1.regions.example' },
    },
  }
}

/** An upgrade, or the first installation, with values besides those that it has. */
export async function upgradeWith({ runner: { folder }, front }: Scene, values: object): Promise<void> {
  const file = join(folder, 'values.yaml')
  await writeFile(file, stringify(values))
  const way = ['upgrade', 'skerry', join(folder, 'deploy/chart'), '--install', '-n', 'skerry', '--create-namespace']
  const { code, stderr } = await helm([...way, '--reset-then-reuse-values', '--values', file], { kubeconfig: front.kubeconfig })
  assert.equal(code, 0, stderr)
}

/** Makes the bundles, where the texts have them. */
export async function buildPrograms(folder: string): Promise<void> {
  const child = spawn(process.execPath, ['deploy/build.ts', join(folder, 'dist')], { stdio: 'inherit' })
  assert.equal((await once(child, 'exit'))[0], 0)
  await symlink(join(folder, 'dist/agent.mjs'), join(folder, 'agent.mjs'))
}

/** What is in the cluster, and the files that the kubelets would make of it. */
function createFiles({ cluster, runner: { folder }, read }: Scene) {
  const data = async (path: string): Promise<Record<string, string>> =>
    ((await read(path)) as { data?: Record<string, string> })?.data ?? {}
  const place = async (name: string, text: string): Promise<string> => {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
  const secret = async (name: string): Promise<Record<string, string>> =>
    Object.fromEntries(Object.entries(await data(`${home}/secrets/${name}`)).map(([key, value]) => [key, atob(value)]))
  return {
    place,
    secret,
    config: async (name: string, key: string) =>
      place(`${name.replace('skerry-', '')}/${key}`, (await data(`${home}/configmaps/${name}`))[key] ?? ''),
    async account(program: string): Promise<string> {
      await place(`${program}/account/ca.crt`, cluster.ca)
      return dirname(await place(`${program}/account/token`, await cluster.serviceAccountToken('skerry', `skerry-${program}`)))
    },
    /** What the agent's Secrets hold, as it is kept up to date in its pods. */
    async placeSecrets(): Promise<void> {
      for (const [name, text] of Object.entries(await secret('skerry-agent-tls'))) await place(`agent/tls/${name}`, text)
      await place('agent/tokens.yaml', (await secret('skerry-agent-tokens'))['tokens.yaml'] ?? '')
    },
  }
}

/**
 * Starts what the pods of the release would run, as it would: with the rendered configuration, its Secrets and the tokens of its accounts.
 * No kubelet is here to do so.
 */
export async function startInstalled(scene: Scene, token: string) {
  const { cluster, runner, programs } = scene
  const { folder } = runner
  const files = createFiles(scene)
  await files.placeSecrets()
  const { hostname, port } = new URL(cluster.url)
  const pod = { PATH: process.env.PATH ?? '', KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }
  const agentEnv = {
    ...pod,
    SKERRY_AGENT__API__HOST: '127.0.0.1',
    SKERRY_AGENT__API__PORT: '0',
    SKERRY_AGENT__API__TLS__CERT_FILE: join(folder, 'agent/tls/tls.crt'),
    SKERRY_AGENT__API__TLS__KEY_FILE: join(folder, 'agent/tls/tls.key'),
    SKERRY_AGENT__ADMIN__HOST: '127.0.0.1',
    SKERRY_AGENT__ADMIN__PORT: '0',
    SKERRY_AGENT__IDENTITY__TOKENS_FILE: join(folder, 'agent/tokens.yaml'),
    SKERRY_AGENT__CLUSTER__SERVICE_ACCOUNT_DIR: await files.account('agent'),
  }
  const monitorEnv = {
    ...pod,
    SKERRY_MONITOR__METRICS__HOST: '127.0.0.1',
    SKERRY_MONITOR__METRICS__PORT: '0',
    SKERRY_MONITOR__CHECKS__FILE: await files.config('skerry-monitor-checks', 'checks.yaml'),
    SKERRY_MONITOR__CLUSTER__SERVICE_ACCOUNT_DIR: await files.account('monitor'),
  }
  const configFile = await files.config('skerry-agent', 'agent.yaml')
  const [agentLog, monitorLog]: [string[], string[]] = [[], []]
  const agent = await startAgentProcess({
    program: join(folder, 'dist/agent.mjs'),
    configFile,
    env: agentEnv,
    onLog: (line) => agentLog.push(line),
  })
  const monitor = await startMonitorProcess({
    program: join(folder, 'dist/monitor.mjs'),
    configFile: await files.config('skerry-monitor', 'monitor.yaml'),
    env: monitorEnv,
    onLog: (line) => monitorLog.push(line),
  })

  const exec = (env: Record<string, string>) => (command: string[]) => ({
    program: process.execPath,
    args: command
      .slice(1)
      .map((word) => word.replace(/^\/etc\/skerry/, join(folder, 'monitor')).replace(/^\/skerry/, join(folder, 'dist'))),
    env,
  })
  const ports = (urls: Record<number, string>) => (wanted: number) => Number(new URL(urls[wanted] ?? '').port)
  programs.set('skerry-agent', {
    log: () => agentLog,
    exec: exec({ ...agentEnv, SKERRY_AGENT_CONFIG: configFile }),
    port: ports({ 8443: agent.url, 9808: agent.adminUrl }),
  })
  programs.set('skerry-monitor', { log: () => monitorLog, exec: exec(monitorEnv), port: ports({ 9809: monitor.url }) })
  programs.set('cloudflared', { log: () => ['{"level":"info","message":"Registered tunnel connection"}'] })

  const ca = (await files.secret('skerry-agent-tls'))['ca.crt'] ?? ''
  const url = agent.url.replace('127.0.0.1', 'localhost')
  const client = createClient({ url, ca, token })
  return {
    ...{ client, url, ca, agentLog },
    ...{ secret: files.secret, placeSecrets: files.placeSecrets, done: doing(client) },
    /** For curl: the address, the token and the authority. */
    environment: async (authority: string) => ({ url, token, CURL_CA_BUNDLE: await files.place('agent-ca.crt', authority) }),
    async stop() {
      client.close()
      await Promise.all([agent.stop(), monitor.stop()])
    },
  }
}

/** Asks for something and waits until it has succeeded. */
function doing(client: Client) {
  return async (method: string, path: string, body?: unknown) => {
    const answer = await persistent(client).call(method, path, { body })
    if (answer.status === 200) return answer.body // as it is wanted already
    assert.equal(answer.status, 202, answer.text)
    return until(`${method} ${path} has ended`, async () => {
      const { body: operation } = await client.call('GET', `/v1/operations/${answer.body.id}`)
      assert.notEqual(operation.phase, 'Failed', JSON.stringify(operation))
      return operation.phase === 'Succeeded' && operation
    })
  }
}

/** Makes the project `harbour` with the database `tide`; again, it is the same database. */
export async function putDatabase({ done }: Installed): Promise<void> {
  await done('PUT', '/v1/projects/harbour', { id: 'harbour' })
  await done('PUT', '/v1/projects/harbour/databases/tide', {
    ...{ id: 'tide', version: '5.10.1', users: [{ name: 'harbourmaster', generate: true }] },
    nodes: { count: 1, cpu: 1, memory: '1Gi', disk: { size: '8Gi', storageClass: 'crate-premium' } },
  })
}
