import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { exitCodes, importCommand } from '../../../agent/cli/import.ts'
import { kinds } from '../../../shared/kubernetes/objects.ts'
import { listObjects } from '../../../shared/kubernetes/read.ts'
import { type StandIns, startCluster, startStandIns, type TestCluster, until } from '../../cluster/index.ts'
import { prepareRegion, type Region } from '../../region/index.ts'
import { installObject } from '../../shared/kubernetes/connected.ts'
import { importableDatabase, importableFile, importRight } from '../region-file/import/importable.ts'

/*
 * The command as in a pod of the agent: by the agent's service account and configuration. An agent with no more than the shipped permissions
 * carries out what it asks for.
 */

let cluster: TestCluster
let standIns: StandIns
let region: Region
let folder: string
let env: Record<string, string>
let bytes: Buffer

before(async () => {
  cluster = await startCluster()
  standIns = await startStandIns(cluster, { operator: { stepMs: 2 } })
  folder = await mkdtemp(join(tmpdir(), 'skerry-import-'))
  const sqlUrl = `${standIns.database.url}/{namespace}/{database}/_sql`
  region = await prepareRegion(cluster, { directory: join(folder, 'region'), sqlUrl, config: { operations: { recheck: '500ms' } } })
  await region.startAgent()
  const { hostname, port } = new URL(cluster.url)
  env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }
  bytes = (await importableFile([importableDatabase('harbour', 'tide'), importableDatabase('harbour', 'ebb')])).bytes
})

after(async () => {
  await region?.close()
  await standIns?.stop()
  await cluster?.stop()
  await rm(folder, { recursive: true })
})

/** The command in this process, with the file on standard input. */
async function run(words: string[], given: Buffer = bytes): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' }
  const write = (stream: 'out' | 'err') => (text: string) => {
    said[stream] += text
  }
  const config = ['--config', join(folder, 'region/config-0.yaml')]
  const code = await importCommand(['-', ...config, ...words], env, { out: write('out'), err: write('err') }, Readable.from([given]))
  return { code, ...said }
}

const gone = '--old-cluster-is-gone'

test('a dry run shows each database, and why nothing would be imported', async () => {
  const { code, out } = await run(['--dry-run'])
  assert.equal(code, exitCodes.incomplete)
  assert.match(out, /^Region harbour-1, made 2026-01-31T12:00:00.000Z, at entry 117 of its ledger\.\nNot signed:/)
  assert.match(out, /^Refused: The file is of another cluster .* say --old-cluster-is-gone\.$/m)
  assert.match(out, /^Refused: The agent may not make volumes .* agent\.import\.enabled of the chart/m)
  assert.match(out, /^harbour\/tide +ready +2 volumes$/m)
  assert.match(out, /^2 ready, 0 volumes-found, 0 unchanged, 0 refused$/m)
})

test('without the right to make volumes, nothing is imported', async () => {
  const { code, err } = await run([gone])
  assert.equal(code, exitCodes.incomplete)
  assert.match(err, /^skerry-agent import: The agent may not make volumes in this cluster/)
  assert.equal((await listObjects(region.admin, kinds.PersistentVolume)).length, 0)
})

for (const { name, given, says } of [
  { name: 'is cut', given: () => bytes.subarray(0, bytes.length / 2), says: /the file ends in the middle/ },
  {
    name: 'was changed by hand',
    given: () => Buffer.from(bytes.toString().replaceAll('vol-harbour-tide', 'vol-harbour-erp1')),
    says: /\/digest does not fit the document/,
  },
  { name: 'is empty', given: () => Buffer.alloc(0), says: /the file is empty/ },
  { name: 'is packed and cut', given: () => gzipSync(bytes).subarray(0, 500), says: /the file ends in the middle: it was cut/ },
  {
    name: 'is packed and damaged',
    given: () => Buffer.concat([gzipSync(bytes).subarray(0, 10), Buffer.alloc(400, 7)]),
    says: /packed with gzip, and damaged/,
  },
  {
    name: 'unfolds to more than any file has',
    given: () => gzipSync(Buffer.alloc(65 * 1024 * 1024)),
    says: /more than 64 MiB, which no region file has, once it is unpacked/,
  },
  {
    name: 'is of a newer version',
    given: () => Buffer.from(bytes.toString().replace('"version":1}', '"version":2}')),
    says: /a newer Skerry/,
  },
])
  test(`a file that ${name} is not asked for`, async () => {
    const { code, err } = await run([gone], given())
    assert.equal(code, exitCodes.notAsked, err)
    assert.match(err, says)
  })

for (const [words, says] of [
  [['--host', 'edge-1'], /--host must be a pair such as edge-1=edge-7, not edge-1/],
  [['--timeout', 'soon'], /--timeout must be a duration/],
  [['region.json'], /name one region file/],
] as const)
  test(`an import with ${words.join(' ')} is refused in a sentence`, async () => {
    const { code, err } = await run([...words])
    assert.equal(code, exitCodes.notAsked)
    assert.match(err, says)
  })

test('an import without a configuration says where there is one', async () => {
  const err: string[] = []
  const code = await importCommand(['-'], {}, { out: () => {}, err: (text) => err.push(text) }, Readable.from([bytes]))
  assert.equal(code, exitCodes.notAsked)
  assert.match(
    err.join(''),
    /^skerry-agent import: there is no \/etc\/skerry\/agent\.yaml: run the command in a pod of the agent, or name .*--config$/m,
  )
})

test('with that right, a packed file is imported, and its progress is told', async () => {
  for (const object of importRight) await installObject(region.admin, object)
  await until('the right is in effect', async () => !(await run(['--dry-run', gone])).out.includes('may not make volumes'))
  const { code, out, err } = await run([gone], gzipSync(bytes))
  assert.equal(code, exitCodes.imported, out + err)
  assert.match(err, /^Operation op-\d+ was accepted\.\n(.*\n)*\d of 2 databases are there/)
  assert.match(out, /^Succeeded: 2 databases were made again, 0 stood already/)
  const claims = await listObjects(region.admin, kinds.PersistentVolumeClaim, { namespace: 'project-harbour' })
  const data = claims.filter(({ metadata }) => metadata.name.startsWith('data')).map(({ spec }) => spec.volumeName)
  assert.deepEqual(data.toSorted(), ['pvc-harbour-ebb-0', 'pvc-harbour-ebb-1', 'pvc-harbour-tide-0', 'pvc-harbour-tide-1'])
})

test('imported again, all of it is there', async () => {
  const file = join(folder, 'region.json')
  await writeFile(file, bytes)
  const config = ['--config', join(folder, 'region/config-0.yaml')]
  const out: string[] = []
  const code = await importCommand([file, gone, '--json', ...config], env, { out: (text) => void out.push(text), err: () => {} })
  assert.equal(code, exitCodes.imported)
  assert.deepEqual(JSON.parse(out.join('')).result.import.databases, { made: 0, unchanged: 2, failed: 0 })
})
