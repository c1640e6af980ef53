import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { createServingCertificate, startCluster, type TestCluster } from '../cluster/index.ts'
import { prepareRegion } from '../region/index.ts'
import { sampleConfiguration } from './sample-configuration.ts'

/** A folder with the files that docs/running.md speaks of. */
async function sampleFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-sample-'))
  t.after(() => rm(folder, { recursive: true }))
  const { cert, key } = await createServingCertificate()
  const files = { 'tls.crt': cert, 'tls.key': key, 'tokens.yaml': '[]', 'agent.yaml': sampleConfiguration() }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 })
  return folder
}

/** Runs the agent in that folder until it is ready or has ended. @returns its log, and its exit code if it ended by itself */
async function startIn(folder: string, env: Record<string, string>): Promise<{ log: string; code: number | undefined }> {
  const child = spawn(process.execPath, [resolve('agent/main.ts'), '--config', 'agent.yaml'], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '', HOME: folder, SKERRY_AGENT__API__PORT: '0', SKERRY_AGENT__ADMIN__PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  let log = ''
  let isReady = false
  for await (const line of createInterface({ input: child.stdout })) {
    log += `${line}\n`
    if (!isReady && line.includes('"region is ready"')) {
      isReady = true
      child.kill('SIGTERM')
    }
  }
  const [code] = await exited
  return { log, code: isReady ? undefined : code }
}

async function accountFolder(cluster: TestCluster, folder: string): Promise<string> {
  const account = join(folder, 'account')
  await mkdir(account)
  await writeFile(join(account, 'ca.crt'), cluster.ca)
  await writeFile(join(account, 'token'), await cluster.serviceAccountToken('skerry', 'skerry-agent'), { mode: 0o600 })
  return account
}

test('the configuration in docs/running.md starts as it stands, in a pod and wherever kubectl works', { timeout: 240_000 }, async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const region = await prepareRegion(cluster)
  t.after(() => region.close())
  const folder = await sampleFolder(t)
  const kubeconfig = join(folder, 'other-name')
  await writeFile(kubeconfig, cluster.kubeconfig(), { mode: 0o600 })
  await mkdir(join(folder, '.kube'))

  const nowhere = await startIn(folder, {})
  assert.equal(nowhere.code, 1)
  assert.match(nowhere.log, /KUBECONFIG is not set, and there is no ~\/\.kube\/config: set cluster\.kubeconfig/)

  const { hostname, port } = new URL(cluster.url)
  const inPod = {
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port,
    SKERRY_AGENT__CLUSTER__SERVICE_ACCOUNT_DIR: await accountFolder(cluster, folder),
  }
  await writeFile(join(folder, 'elsewhere'), cluster.kubeconfig().replace(cluster.url, 'https://127.0.0.1:1'))
  const places: [what: string, env: Record<string, string>][] = [
    ['by KUBECONFIG', { KUBECONFIG: kubeconfig }],
    ['by the account of the pod, whatever KUBECONFIG says', { ...inPod, KUBECONFIG: join(folder, 'elsewhere') }],
    ['by the setting, whatever else there is', { ...inPod, SKERRY_AGENT__CLUSTER__KUBECONFIG: 'other-name' }],
  ]
  for (const [what, env] of places) {
    const { log, code } = await startIn(folder, env)
    assert.equal(code, undefined, `${what}:\n${log}`)
    assert.equal(JSON.parse(log.split('\n')[0] ?? '').server, `${cluster.url}/`, what)
  }

  await writeFile(join(folder, '.kube/config'), cluster.kubeconfig(), { mode: 0o600 })
  assert.equal((await startIn(folder, {})).code, undefined, 'by ~/.kube/config')
  const missing = await startIn(folder, { KUBECONFIG: join(folder, 'missing') })
  assert.match(missing.log, /the kubeconfig \S+\/missing cannot be used: ENOENT/)
})
