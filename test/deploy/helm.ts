import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAllDocuments, stringify } from 'yaml'
import { type CommandResult, installedTool } from '../cluster/index.ts'

export const chart = 'deploy/chart'
export const release = 'skerry'
export const namespace = 'skerry'

export type HelmOptions = {
  /** A file of values is made of it, and given with `--values`. */
  values?: object
  kubeconfig?: string
}

/** Runs the real helm with a home folder of its own. A failure is a `code`, not a throw. */
export async function helm(args: string[], { values, kubeconfig }: HelmOptions = {}): Promise<CommandResult> {
  const path = await installedTool('helm')
  const home = await mkdtemp(join(tmpdir(), 'skerry-helm-'))
  try {
    const given = [...args]
    const env: Record<string, string> = { PATH: process.env.PATH ?? '', HOME: home, KUBECONFIG: join(home, 'kubeconfig') }
    if (kubeconfig !== undefined) await writeFile(join(home, 'kubeconfig'), kubeconfig, { mode: 0o600 })
    if (values !== undefined) {
      await writeFile(join(home, 'values.yaml'), stringify(values))
      given.push('--values', join(home, 'values.yaml'))
    }
    return await new Promise((resolve) => {
      execFile(path, given, { env, timeout: 120_000, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
        const said = stderr.replaceAll(/^.*found symbolic link in path.*\n/gm, '')
        resolve({ stdout, stderr: said, code: error ? (typeof error.code === 'number' ? error.code : -1) : 0 })
      })
    })
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

// biome-ignore lint/suspicious/noExplicitAny: manifests of all kinds
export type Manifest = any

/** Objects of a text of several documents. */
export function manifestsOf(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS())
    .filter((object) => object !== null && object !== undefined)
}

/** What the chart renders with these values, sorted by kind and name. @throws Error with what helm said */
export async function template(values: object, kubeVersion = '1.35.0'): Promise<Manifest[]> {
  const { stdout, stderr, code } = await helm(['template', release, chart, '--namespace', namespace, '--kube-version', kubeVersion], {
    values,
  })
  if (code !== 0) throw new Error(stderr)
  const keyOf = ({ kind, metadata }: Manifest) => `${kind} ${metadata.namespace ?? ''} ${metadata.name}`
  return manifestsOf(stdout).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
}
