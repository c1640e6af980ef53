import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { exitCodes, exportCommand, openExportCommand } from '../../../agent/cli/export.ts'
import { readRegionFile } from '../../../agent/region-file/reading.ts'
import { namespace, type QuietRegion, startQuietRegion } from '../api/region.ts'
import { appliedVolume } from '../region-file/region-sample.ts'

let region: QuietRegion
let folder: string
let admin: string
const recipient = generateKeyPairSync('ec', { namedCurve: 'P-256' })

before(async () => {
  region = await startQuietRegion()
  folder = await mkdtemp(join(tmpdir(), 'skerry-export-'))
  admin = join(folder, 'kubeconfig')
  await writeFile(admin, region.kubeconfig(), { mode: 0o600 })
  await writeFile(join(folder, 'recipient.pub'), recipient.publicKey.export({ type: 'spki', format: 'pem' }))
  await writeFile(join(folder, 'recipient.pem'), recipient.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  await region.standProject({ id: 'harbour' })
  const nodes = { count: 1, cpu: 1, memory: '2Gi', disk: { size: '64Gi', storageClass: 'crate-premium' } }
  const users = [{ name: 'harbourmaster', password: 'correct horse battery staple' }]
  await region.standDatabase('harbour', { id: 'tidal-gauge', version: '5.10.1', nodes, users })
  await region.stand(appliedVolume('harbour', 'tidal-gauge', 0))
  const agentYaml = 'region: { id: harbour-1, name: Harbour }\n'
  await region.stand({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'skerry-agent', namespace },
    data: { 'agent.yaml': agentYaml },
  })
})
after(async () => {
  await region?.close()
  await rm(folder, { recursive: true })
})

type Command = typeof exportCommand

/** A command in this process. */
async function run(command: Command, ...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' }
  const write = (stream: 'out' | 'err') => (text: string) => {
    said[stream] += text
  }
  const code = await command(words, {}, { out: write('out'), err: write('err') })
  return { code, ...said }
}

const exported = (...words: string[]) => run(exportCommand, '--kubeconfig', admin, ...words)
const opened = (...words: string[]) => run(openExportCommand, ...words)

const wrong: { name: string; words: string[]; says: RegExp }[] = [
  { name: 'an option that there is not', words: ['--bogus'], says: /Unknown option '--bogus'/ },
  {
    name: 'a namespace that there is not',
    words: ['--region', 'harbour-1', '--namespace', 'nowhere'],
    says: /there is no namespace nowhere/,
  },
  { name: 'a region with an impossible name', words: ['--region', 'The Harbour'], says: /--region must be the id of a region/ },
  { name: 'a folder that there is not', words: ['--out', '/nowhere/region.json'], says: /cannot be written: its folder does not exist/ },
  { name: 'a folder for a file', words: ['--out', tmpdir()], says: /cannot be written: it is a folder/ },
  { name: 'no recipient', words: ['--recipient', '/nowhere.pub'], says: /--recipient \/nowhere\.pub: there is no such file/ },
]
for (const { name, words, says } of wrong)
  test(`an export with ${name} is refused in a sentence`, async () => {
    const { code, out, err } = await exported(...words)
    assert.deepEqual([code, out], [exitCodes.failed, ''])
    assert.match(err, says)
    assert.doesNotMatch(err, /\n\s+at /)
  })

test('a kubeconfig that is none, and one of a cluster that does not answer, are told in one sentence', async () => {
  const [garbage, silent] = [join(folder, 'garbage'), join(folder, 'silent')]
  await writeFile(garbage, Buffer.from('W\x00\x1b[2J\nsecond line'))
  const text = region.kubeconfig().replace(/https:\/\/[^"'\s]+/, 'https://127.0.0.1:1')
  await writeFile(silent, text, { mode: 0o600 })
  for (const [kubeconfig, says] of [
    [garbage, /^skerry-agent export: the kubeconfig \S+garbage cannot be used: [^\n]+\nSee --help\.\n$/],
    [silent, /^skerry-agent export: GET [^\n]+: no answer \(ECONNREFUSED\)\nSee --help\.\n$/],
  ] as const) {
    const { code, err } = await run(exportCommand, '--kubeconfig', kubeconfig)
    assert.equal(code, exitCodes.failed, err)
    assert.match(err, says)
    assert.ok(!err.includes('second line') && !err.includes('\u001b'), err)
  }
})

test('what cannot be opened says so', async () => {
  const rsa = join(folder, 'rsa.pem')
  await writeFile(rsa, generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const key = ['--key', join(folder, 'recipient.pem')]
  for (const [words, says] of [
    [[], /a key and one file are needed: --key KEY FILE/],
    [['--key', '/nowhere.pem', 'region.json'], /^skerry-agent open-export: \/nowhere\.pem cannot be read: there is no such file/],
    [['--key', rsa, 'region.json'], /--key .*rsa\.pem: it must be a key of EC/],
    [[...key, folder], /cannot be read: it is a folder/],
    [[...key, '/nowhere.json'], /nowhere\.json cannot be read: there is no such file/],
  ] as const) {
    const { code, err } = await opened(...words)
    assert.equal(code, exitCodes.failed, err)
    assert.match(err, says)
  }
})

test('the file of the region is made where no agent works, by whoever may read the cluster', async () => {
  const { code, out, err } = await exported()
  assert.equal(code, exitCodes.ok, err)
  const read = await readRegionFile(Buffer.from(out))
  assert.ok(read.ok, JSON.stringify(read))
  assert.deepEqual(read.document.region, { id: 'harbour-1', name: 'Harbour' })
  assert.equal(read.document.databases[0]?.volumes.length, 1)
  assert.equal(read.document.secrets, undefined)
  assert.match(err, /^1 project, 1 database with 1 volume, 0 deleted databases\.\nNot signed: the region had no key\./)
})

test('the file goes where --out says, for its owner alone', async () => {
  const path = join(folder, 'region.json')
  const { code, out } = await exported('--out', path)
  assert.deepEqual([code, out], [exitCodes.ok, ''])
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.ok((await readRegionFile(await readFile(path))).ok)
})

test('with a recipient the file has the secrets, which nobody reads in it, and the recipient does', async () => {
  const path = join(folder, 'with-secrets.json')
  const { code, err } = await exported('--out', path, '--recipient', join(folder, 'recipient.pub'))
  assert.equal(code, exitCodes.ok, err)
  assert.doesNotMatch(await readFile(path, 'utf8'), /correct horse/)
  const packed = join(folder, 'with-secrets.json.gz')
  await writeFile(packed, gzipSync(await readFile(path)))
  assert.equal((await opened('--key', join(folder, 'recipient.pem'), packed)).code, exitCodes.ok)
  const read = await opened('--key', join(folder, 'recipient.pem'), path)
  assert.equal(read.code, exitCodes.ok, read.err)
  assert.deepEqual(JSON.parse(read.out).databases, { 'harbour/tidal-gauge': { 'users.0.password': 'correct horse battery staple' } })
})

test('another key opens nothing, and a file without secrets says that it has none', async () => {
  const other = join(folder, 'other.pem')
  await writeFile(other, generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const [plain, sealed] = [join(folder, 'plain.json'), join(folder, 'sealed.json')]
  await exported('--out', plain)
  await exported('--out', sealed, '--recipient', join(folder, 'recipient.pub'))
  const wrong = await opened('--key', other, sealed)
  assert.deepEqual([wrong.code, wrong.out], [exitCodes.refused, ''])
  assert.match(wrong.err, /This key does not open the secrets of the file/)
  const none = await opened('--key', other, plain)
  assert.equal(none.code, exitCodes.refused)
  assert.match(none.err, /The file has no secrets/)
})

test('a private key is no recipient, and a file with a fault is not opened', async () => {
  const { code, err } = await exported('--recipient', join(folder, 'recipient.pem'))
  assert.equal(code, exitCodes.failed)
  assert.match(err, /it is a private key: only the public one belongs here/)
  assert.doesNotMatch(err, /BEGIN/)
  const path = join(folder, 'damaged.json')
  await exported('--out', path)
  await writeFile(path, (await readFile(path, 'utf8')).replace('64Gi', '32Gi'))
  const damaged = await opened('--key', join(folder, 'recipient.pem'), path)
  assert.equal(damaged.code, exitCodes.refused)
  assert.match(damaged.err, /^\/digest: does not fit the document/)
})

test('a cluster that is not a region says what is missing', async () => {
  const { code, err } = await exported('--namespace', 'elsewhere', '--timeout', '20')
  assert.equal(code, exitCodes.failed)
  assert.match(err, /^skerry-agent export: the configuration of the agent cannot be read, so name the region: --region ID/)
})

test('in a namespace without anything of Skerry, the file has what stands, with a warning', async () => {
  const metadata = { name: 'elsewhere' }
  await region.stand({ apiVersion: 'v1', kind: 'Namespace', metadata })
  const path = join(folder, 'elsewhere.json')
  const { code, err } = await exported('--namespace', 'elsewhere', '--region', 'harbour-1', '--out', path)
  assert.equal(code, exitCodes.ok, err)
  assert.match(
    err,
    /^Warning: nothing of Skerry is in the namespace elsewhere: no configuration, ledger, key or deleted database\. .*--namespace/m,
  )
  const read = await readRegionFile(await readFile(path))
  assert.equal(read.ok && read.document.databases.length, 1)
  // Where Skerry is, it says nothing of it.
  assert.doesNotMatch((await exported()).err, /Warning/)
})

test('a cluster without anything of Skerry has no file, and the one before stays', async (t) => {
  const bare = await startQuietRegion()
  t.after(() => bare.close())
  const kubeconfig = join(folder, 'bare-kubeconfig')
  await writeFile(kubeconfig, bare.kubeconfig(), { mode: 0o600 })
  const path = join(folder, 'kept.json')
  await writeFile(path, 'the one before')
  const { code, err } = await run(exportCommand, '--kubeconfig', kubeconfig, '--region', 'harbour-1', '--out', path)
  assert.equal(code, exitCodes.failed, err)
  assert.match(err, /^skerry-agent export: nothing of Skerry is in the namespace skerry: .* --kubeconfig or --context/)
  assert.equal(await readFile(path, 'utf8'), 'the one before')
})
