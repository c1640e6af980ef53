import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import { type Component, componentsToCome, parseComponents } from '../../agent/preflight/components.ts'
import { type Claims, issueToken } from '../../deploy/bootstrap/token.ts'
import { installedTool } from '../cluster/kubectl.ts'
import { helm, type Manifest } from './helm.ts'

export type { Component }
export const bootstrap = 'deploy/bootstrap'

/** The components that are brought, or with `all` also those that are not any more. */
export async function readComponents(file = `${bootstrap}/components`, all = false): Promise<Component[]> {
  const { components, faults } = parseComponents(await readFile(file, 'utf8'))
  assert.deepEqual(faults, [], file)
  return all ? components : componentsToCome(components)
}

/** The list without the least versions of Kubernetes: for a control plane that is older than most of the components want. */
export function withoutLeast(list: string): string {
  return list.replaceAll(/^ +kubernetes .*\n/gm, '')
}

/** A cloud that signs tokens. */
export type Cloud = { key: KeyObject; publicPem: string; token(claims?: Partial<Claims>): string }

export function createCloud(): Cloud {
  const { privateKey } = generateKeyPairSync('ed25519')
  const now = Math.floor(Date.now() / 1000)
  const usual: Claims = { region: 'harbour-1', name: 'Harbour', cloud: 'https://cloud.example', issued: now, expires: now + 3600 }
  return {
    key: privateKey,
    publicPem: createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString(),
    token: (claims = {}) => issueToken({ ...usual, ...claims }, privateKey),
  }
}

export type Ran = { code: number | NodeJS.Signals; out: string; err: string; log: string }

export type RunOptions = {
  kubeconfig?: string
  env?: Record<string, string>
  input?: string
  /** There is a terminal, at which somebody types these lines. Everything that is printed is in `out`. */
  typed?: string
  /** Sees each line as it is printed. What it does to the process is its own matter. */
  onLine?: (line: string, child: ChildProcess) => void
}

/** A folder in which the scripts run with the real kubectl and helm, and with nothing of whoever runs the tests. */
export type Bench = {
  folder: string
  cloud: Cloud
  run(script: 'install.sh' | 'uninstall.sh', args: string[], options?: RunOptions): Promise<Ran>
  close(): Promise<void>
}

export async function createBench(): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-bootstrap-'))
  const tools = join(folder, 'bin')
  await mkdir(tools)
  for (const tool of ['kubectl', 'helm'] as const) await symlink(await installedTool(tool), join(tools, tool))
  await symlink(process.execPath, join(tools, 'node'))
  const cloud = createCloud()
  await writeFile(join(folder, 'cloud.pem'), cloud.publicPem)

  async function run(script: string, args: string[], { kubeconfig, env = {}, input = '', typed, onLine }: RunOptions = {}): Promise<Ran> {
    const config = join(folder, 'kubeconfig')
    await writeFile(config, kubeconfig ?? '', { mode: 0o600 })
    await chmod(config, 0o600)
    const log = join(folder, 'install.log')
    await rm(log, { force: true })
    const own = { HOME: folder, TMPDIR: folder, KUBECONFIG: config, KUBECTL_KUBERC: 'false', SKERRY_LOG: log }
    const key = script === 'install.sh' ? ['--cloud-key', join(folder, 'cloud.pem')] : []
    // A group of its own, so that a test can end it with all that it started.
    const command = ['sh', resolve(bootstrap, script), ...key, ...args]
    const quoted = command.map((word) => `'${word}'`).join(' ')
    const [program = '', ...given] = typed === undefined ? command : ['script', '--quiet', '--return', '--command', quoted, '/dev/null']
    const child = spawn(program, given, {
      env: { PATH: `${tools}:/usr/sbin:/usr/bin:/sbin:/bin`, ...own, ...env },
      cwd: folder,
      detached: true,
    })
    child.stdin.on('error', () => {})
    child.stdin.end(typed ?? input)
    let [out, err] = ['', '']
    createInterface({ input: child.stdout }).on('line', (line) => {
      out += `${line}\n`
      onLine?.(line, child)
    })
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    const [code, signal] = await once(child, 'close')
    return { code: signal ?? code, out, err, log: await readFile(log, 'utf8').catch(() => '') }
  }

  return { folder, cloud, run, close: () => rm(folder, { recursive: true, force: true }) }
}

const standInImage = 'registry.example/stand-in:1'

function workload(kind: string, name: string, labels: Record<string, string>): Manifest {
  const selector = { app: name }
  const template = { metadata: { labels: selector }, spec: { containers: [{ name: 'main', image: standInImage }] } }
  const spec = { replicas: 1, selector: { matchLabels: selector }, template, ...(kind === 'StatefulSet' && { serviceName: name }) }
  return { apiVersion: 'apps/v1', kind, metadata: { name, labels }, spec }
}

/** A definition that takes anything. */
export function definitionNamed(name: string): Manifest {
  const [plural = '', ...group] = name.split('.')
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }
  const kind = plural.replace(/s$/, '').replace(/^./, (letter) => letter.toUpperCase())
  const versions = [{ name: 'v1', served: true, storage: true, schema }]
  const spec = { group: group.join('.'), scope: 'Namespaced', names: { plural, kind }, versions }
  return { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name }, spec }
}

/** Those whose definitions are in the chart's folder crds/, which helm installs once; the others have them among their templates. */
const inFolder = ['prometheus', 'sealed-secrets']

/**
 * Makes a chart for every component under its own name and version, with the objects that install.sh waits for and looks for, and
 * nothing in them; Skerry's is the real one. The agent's bundle stands beside them, for its preflight.
 */
export async function packCharts(folder: string): Promise<string> {
  const packed = join(folder, 'charts')
  for (const component of await readComponents()) {
    if (component.name === 'skerry') await pack('deploy/chart', packed)
    else await pack(await writeStandIn(component, join(folder, 'sources')), packed)
  }
  await promisify(execFile)(process.execPath, ['deploy/build.ts', packed])
  return packed
}

async function pack(source: string, destination: string): Promise<void> {
  const { code, stderr } = await helm(['package', source, '--destination', destination])
  if (code !== 0) throw new Error(stderr)
}

async function writeStandIn({ name, chart, version, wait, present, definition }: Component, folder: string): Promise<string> {
  const source = join(folder, name)
  await mkdir(join(source, 'templates'), { recursive: true })
  await mkdir(join(source, 'crds'))
  await writeFile(join(source, 'Chart.yaml'), stringify({ apiVersion: 'v2', name: chart, version }))
  const labels = Object.fromEntries((present[0]?.split(':')[1] ?? '').split(',').map((pair) => pair.split('=')))
  const kinds: Record<string, string> = { deployment: 'Deployment', statefulset: 'StatefulSet', daemonset: 'DaemonSet' }
  const workloads = wait.flatMap((target) => {
    const [kind = '', called = ''] = target.replace('?', '').split('/')
    return kinds[kind] ? [workload(kinds[kind], called, labels)] : []
  })
  await writeFile(join(source, 'templates/workloads.yaml'), workloads.map((object) => stringify(object)).join('---\n'))
  // A claim among the objects of the chart itself, as the real one has it.
  if (name === 'grafana') {
    const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } }
    const claim = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'grafana' }, spec }
    await writeFile(join(source, 'templates/claim.yaml'), stringify(claim))
  }
  // The operator's definition comes with a chart of its own.
  if (definition !== undefined && name !== 'crate-operator') {
    const text =
      name === 'crate-operator-crds' ? await readFile('test/cluster/crds/cratedbs.yaml', 'utf8') : stringify(definitionNamed(definition))
    await writeFile(join(source, inFolder.includes(name) ? 'crds' : 'templates', 'definition.yaml'), text)
  }
  return source
}
