import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { type Component, componentsToCome, parseComponents } from '../../agent/preflight/components.ts'
import type { Which } from '../../deploy/bootstrap/chart-contract.ts'
import { type Claims, issueToken } from '../../deploy/bootstrap/token.ts'
import { installedTool } from '../cluster/index.ts'
import { readContract } from './charts.ts'
import { writeStandIn } from './charts-stand-ins.ts'
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

/** The list with the versions that it pinned before. */
export async function listBefore(list: string): Promise<string> {
  const { charts } = await readContract()
  let name = ''
  return list.replaceAll(/^(\S+)$|^( +version +).*$/gm, (line, named, key) => {
    name = named ?? name
    const version = charts[name]?.before.version
    return key === undefined || version === undefined ? line : `${key}${version}`
  })
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

/** A definition that takes anything. */
export function definitionNamed(name: string): Manifest {
  const [plural = '', ...group] = name.split('.')
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }
  const kind = plural.replace(/s$/, '').replace(/^./, (letter) => letter.toUpperCase())
  const versions = [{ name: 'v1', served: true, storage: true, schema }]
  const spec = { group: group.join('.'), scope: 'Namespaced', names: { plural, kind }, versions }
  return { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name }, spec }
}

/**
 * Packs a stand-in for the chart of every component, under its own name and version and with what the real one renders (charts.json);
 * Skerry's is the real one. The agent's bundle stands beside them, for its preflight.
 * @param which the versions that the list pins, or those that it pinned before
 * @param options `anyKubernetes`: false for the conditions that the real ones have on the version of Kubernetes
 * @returns the folder with the packed charts
 */
export async function packCharts(folder: string, which: Which = 'pinned', { anyKubernetes = true } = {}): Promise<string> {
  const [packed, sources] =
    which === 'pinned' ? [join(folder, 'charts'), join(folder, 'sources')] : [join(folder, 'charts-before'), join(folder, 'sources-before')]
  const { charts, beyond } = await readContract()
  for (const { name, chart, version } of await readComponents()) {
    const facts = charts[name]?.[which]
    if (name === 'skerry') await pack('deploy/chart', packed)
    else if (facts === undefined) throw new Error(`charts.json says nothing of ${name}`)
    else {
      const about = beyond[name] ?? {}
      const standIn = {
        ...{ name, chart, facts, beyond: about, anyKubernetes },
        version: which === 'pinned' ? version : facts.version,
        hookWants: about.hookWants?.[which],
      }
      await pack(await writeStandIn(standIn, sources), packed)
    }
  }
  await promisify(execFile)(process.execPath, ['deploy/build.ts', packed])
  return packed
}

async function pack(source: string, destination: string): Promise<void> {
  const { code, stderr } = await helm(['package', source, '--destination', destination])
  if (code !== 0) throw new Error(stderr)
}
