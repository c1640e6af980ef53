import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Component } from '../../agent/preflight/components.ts'
import { type ChartFacts, chartFacts } from './chart-facts.ts'
import type { Values } from './chart-values.ts'

/** Charts are rendered for this version of Kubernetes, which all of them accept. */
const kubeVersion = '1.35.0'

/** Runs helm with its own folders. @throws Error with helm's message */
export type Helm = (...args: string[]) => Promise<string>

/** @param folder for helm's files */
export function createHelm(folder: string): Helm {
  const own = ['CACHE', 'CONFIG', 'DATA'].map((each) => [`HELM_${each}_HOME`, join(folder, each)])
  const env = { ...process.env, ...Object.fromEntries(own) }
  return (...args) =>
    new Promise((resolve, reject) => {
      execFile('helm', args, { env, maxBuffer: 256 << 20, timeout: 300_000 }, (error, stdout, stderr) => {
        if (!error) resolve(stdout)
        else reject(Object.assign(new Error(/^Error: (.*)/m.exec(stderr)?.[1] ?? (stderr.trim() || error.message)), { code: error.code }))
      })
    })
}

/**
 * Fetches the chart of a component. @returns the packed chart
 * @throws Error when its repository does not have it
 */
export async function pullChart(helm: Helm, { chart, version, repository = '' }: Component, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  const from = repository.startsWith('oci://') ? [`${repository}/${chart}`] : [chart, '--repo', repository]
  await helm('pull', ...from, '--version', version, '--destination', folder)
  const [packed = ''] = await readdir(folder)
  return join(folder, packed)
}

/** The facts of the packed chart with the values of a file, if that exists. @throws Error when helm cannot render it */
export async function factsOf(helm: Helm, packed: string, { name, namespace }: Component, file: string, ours: Values): Promise<ChartFacts> {
  const given = existsSync(file) ? ['--values', file] : []
  const [metadata, values, text] = await Promise.all([
    helm('show', 'chart', packed),
    helm('show', 'values', packed),
    helm('template', name, packed, '--namespace', namespace, '--include-crds', '--kube-version', kubeVersion, ...given),
  ])
  return chartFacts({ metadata: parse(metadata), values: parse(values) ?? {}, text, namespace, ours })
}
