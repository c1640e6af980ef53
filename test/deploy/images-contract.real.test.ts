import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createBench, packCharts, type Ran, readComponents } from './bootstrap.ts'
import { readContract } from './charts.ts'

// `install.sh --images` on charts that render what the real ones are known to render: each image of the contract is in the list.

let folder = ''
let charts = ''
let bench: Awaited<ReturnType<typeof createBench>>
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'skerry-images-'))
  charts = await packCharts(folder)
  bench = await createBench()
})
after(async () => {
  await bench.close()
  await rm(folder, { recursive: true, force: true })
})

/** Without a token, a cluster or a host outside. */
const list = (...args: string[]): Promise<Ran> => bench.run('install.sh', ['--images', '--offline', charts, ...args])
const lines = (text: string) => text.split('\n').filter((line) => line !== '')

/** Every image that the contract knows of a component, as the manifests have it. */
async function known(component: string): Promise<string[]> {
  const facts = (await readContract()).charts[component]?.pinned
  assert.ok(facts, component)
  const containers = facts.workloads.flatMap(({ containers }) => containers)
  const inArguments = containers.flatMap(({ args = [] }) => args.map((arg) => arg.slice(arg.indexOf('=') + 1)))
  const inCustoms = facts.customs.flatMap(({ images = {} }) => Object.values(images).flatMap((byPath) => Object.values(byPath)))
  return [...containers.map(({ image }) => image), ...inArguments, ...inCustoms]
}
const whole = (image: string) => (image.startsWith('crate/') ? `docker.io/${image}` : image)

test('every image of every component is in the list, once and sorted', async () => {
  const { out, err, code } = await list('--cratedb', '5.10.1', '--cratedb', '6.0.0')
  assert.equal(code, 0, err)
  const images = lines(out)
  assert.deepEqual(images, [...new Set(images)].sort())
  const expected = new Set(['docker.io/library/crate:5.10.1', 'docker.io/library/crate:6.0.0'])
  for (const { name, image } of await readComponents())
    for (const each of [...image, ...(name === 'skerry' ? [] : await known(name))]) expected.add(whole(each))
  const own = images.filter((image) => /\/skerry-dev\/|\/cloudflared:/.test(image))
  assert.equal(own.length, 3, out)
  assert.deepEqual(
    images.filter((image) => !own.includes(image)),
    [...expected].sort(),
  )
})

test('of the smallest stack it has what databases run, and nothing else', async () => {
  const { out, err } = await list('--minimal')
  const [operator = ''] = await known('crate-operator')
  const databases = (await readComponents()).flatMap(({ name, image }) => (name === 'crate-operator' ? image : []))
  assert.deepEqual(
    lines(out).filter((image) => !/\/skerry-dev\/|\/cloudflared:/.test(image)),
    [whole(operator), ...databases].sort(),
  )
  assert.match(err, /^# CrateDB itself is not listed/m)
})

test('the user’s images take the place of the chart’s', async () => {
  const file = join(folder, 'operator.yaml')
  await writeFile(file, 'env: { CRATEDB_OPERATOR_SQL_EXPORTER_IMAGE: "site.example:5000/sql_exporter:1" }\n')
  const { out } = await list('--only', 'crate-operator', '--values', `crate-operator=${file}`)
  assert.ok(lines(out).includes('site.example:5000/sql_exporter:1'), out)
})

test('a chart that is not available is named at the end, and the rest is there', async () => {
  await rm(join(charts, `loki-${(await readComponents()).find(({ name }) => name === 'loki')?.version}.tgz`))
  const { out, err, code } = await list('--only', 'loki', '--only', 'sealed-secrets')
  assert.equal(code, 4)
  assert.deepEqual(lines(out), (await known('sealed-secrets')).map(whole))
  assert.match(err, /there is no .*loki-.*\.tgz[\s\S]*Skipped, for the reasons above:\n {7}loki: its images are unknown\n/)
})
