import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { exportReadiness, openRecovery, type RecoveryGiven } from '../../../agent/export/index.ts'
import { recoverySection } from '../../../agent/export/settings.ts'
import { parseWith } from '../../../shared/faults.ts'

const folder = await mkdtemp(join(tmpdir(), 'skerry-recovery-'))
after(() => rm(folder, { recursive: true }))
const fileNamed = async (name: string, text: string) => {
  await writeFile(join(folder, name), text)
  return join(folder, name)
}

const open = (exported: object, cloud?: object) => {
  const config: RecoveryGiven = {
    region: { id: 'harbour-1' },
    cluster: { namespace: 'skerry' },
    recovery: recoverySection.parse({ export: exported }),
    ...(cloud && { cloud }),
  }
  const log = { child: () => log }
  // biome-ignore lint/suspicious/noExplicitAny: nothing of it is used before the start
  return openRecovery(config, { log, caches: {}, stack: {} } as any)
}

test('a region without a place for its file keeps it nowhere, and follows nothing', async () => {
  const recovery = open({})
  assert.deepEqual([recovery.places, recovery.cache, await recovery.exporter(undefined)], [[], undefined, []])
  assert.deepEqual(exportReadiness(recovery), [])
})

test('a region with a cloud keeps its file there, unless the site says otherwise', () => {
  assert.deepEqual(open({}, {}).places, ['cloud'])
  assert.deepEqual(open({ cloud: false }, {}).places, [])
})

test('a file of the region whose record cannot be followed is a warning, and makes no replica unready', () => {
  const [warning] = exportReadiness(open({ file: '/var/lib/skerry/region.json' }))
  assert.deepEqual([warning?.isWarning, warning?.trouble()], [true, 'not listed yet'])
})

test('a recipient that cannot be one is told at the start, with the file and without its content', async () => {
  const { privateKey } = generateKeyPairSync('x25519')
  const text = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const recipientFile = await fileNamed('recipient.pem', text)
  const starting = open({ file: join(folder, 'region.json'), recipientFile }).exporter(undefined)
  await assert.rejects(starting, (error: Error) => {
    assert.match(error.message, /^recovery\.export\.recipientFile: .*recipient\.pem: it is a private key/)
    assert.ok(!error.message.includes(text.split('\n')[1] ?? ''))
    return true
  })
})

test('the configuration names every fault of the places with its path', async () => {
  const given = { export: { file: 'region.json', debounce: '0s', every: '1s', bucket: { bucket: '-', keep: 0 }, moon: true } }
  const parsed = parseWith(recoverySection, given)
  assert.ok(!parsed.ok)
  assert.deepEqual(parsed.faults.map(({ path }) => path.join('.')).sort(), [
    'export.bucket.accessKeyIdFile',
    'export.bucket.bucket',
    'export.bucket.keep',
    'export.bucket.secretAccessKeyFile',
    'export.debounce',
    'export.every',
    'export.file',
    'export.moon',
  ])
})
