import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parse } from 'yaml'
import { chartFacts } from '../../deploy/bootstrap/chart-facts.ts'
import { bootstrap, packCharts, readComponents } from './bootstrap.ts'
import { readContract, type Which } from './charts.ts'
import { helm, type Manifest, manifestsOf } from './helm.ts'

// The stand-ins are held to the contract by what they render, as the real ones are.

const folder = await mkdtemp(join(tmpdir(), 'skerry-stand-ins-'))
after(() => rm(folder, { recursive: true, force: true }))
const contract = await readContract()
const components = (await readComponents()).filter(({ name }) => name !== 'skerry')

async function rendered(name: string, packed: string, namespace: string, values: object = {}): Promise<Manifest[]> {
  const ours = join(bootstrap, 'values', `${name}.yaml`)
  const given = existsSync(ours) ? ['--values', ours] : []
  const { stdout, stderr, code } = await helm(['template', name, packed, '-n', namespace, '--kube-version', '1.35.0', ...given], { values })
  assert.equal(code, 0, stderr)
  return manifestsOf(stdout)
}

const packed = { pinned: await packCharts(folder), before: await packCharts(folder, 'before') }
for (const which of ['pinned', 'before'] as Which[]) {
  for (const { name, chart, namespace } of components) {
    const expected = contract.charts[name]?.[which]
    const file = join(packed[which], `${chart}-${expected?.version}.tgz`)

    test(`the stand-in for ${chart} ${expected?.version} renders what the real one does`, async () => {
      const folderCrds = manifestsOf((await helm(['show', 'crds', file])).stdout)
      const ours = join(bootstrap, 'values', `${name}.yaml`)
      const facts = chartFacts(
        {
          version: expected?.version ?? '',
          manifests: await rendered(name, file, namespace),
          folder: folderCrds,
          values: parse((await helm(['show', 'values', file])).stdout) ?? {},
          ours: existsSync(ours) ? parse(await readFile(ours, 'utf8')) : {},
        },
        namespace,
      )
      for (const part of ['workloads', 'services', 'definitions', 'secrets', 'claims'] as const)
        assert.deepEqual(facts[part], expected?.[part], part)
    })
  }
}
