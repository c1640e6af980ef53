import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { exportConfigMap } from '../../../agent/export/state.ts'
import { readRegionFile } from '../../../agent/region-file/reading.ts'
import { appliedVolume } from '../region-file/region-sample.ts'
import { namespace, type QuietRegion, startQuietRegion } from './region.ts'

let region: QuietRegion

before(async () => {
  region = await startQuietRegion()
  await region.standProject({ id: 'harbour' })
  const nodes = { count: 1, cpu: 1, memory: '2Gi', disk: { size: '64Gi', storageClass: 'crate-premium' } }
  await region.standDatabase('harbour', { id: 'tidal-gauge', version: '5.10.1', nodes })
  await region.stand(appliedVolume('harbour', 'tidal-gauge', 0))
})
after(async () => {
  await region?.close()
})

const exported = (headers: Record<string, string> = {}) => region.call('GET', '/v1/region/export', { headers })

test('the file of the region is given out as it is now, for a download, and whoever has it gets nothing again', async () => {
  const { status, headers, text, body } = await exported()
  assert.equal(status, 200, text)
  const read = await readRegionFile(Buffer.from(text))
  assert.ok(read.ok, JSON.stringify(read))
  assert.deepEqual(
    read.document.databases.map(({ project, body: { id }, volumes }) => [project, id, volumes.map(({ metadata }) => metadata.name)]),
    [['harbour', 'tidal-gauge', ['pvc-harbour-tidal-gauge-0']]],
  )
  assert.match(headers.get('content-disposition') ?? '', /^attachment; filename="skerry-region-harbour-1-\d{8}T\d{6}Z\.json"$/)
  const etag = headers.get('etag') ?? ''
  assert.match(etag, /^W\//)
  assert.equal((await exported({ 'if-none-match': etag })).status, 304)
  assert.equal(body.document.region.id, 'harbour-1')
})

test('a file of the region has no secrets, whoever may see the whole region', async () => {
  const { text } = await exported()
  assert.doesNotMatch(text, /"data":|password"?:|secretAccessKey/i)
})

test('whoever may not read the region gets no file of it', async () => {
  const { status } = await region.as(['projects:write'])('GET', '/v1/region/export')
  assert.equal(status, 403)
})

test('the region says where its file is, since when, and why one could not be written', async () => {
  const before = await region.call('GET', '/v1/region')
  assert.deepEqual(before.body.export, { file: { writtenAt: null, confirmedAt: null, bytes: null, digest: null, failing: null } })
  const file = {
    digest: '8f'.repeat(32),
    content: '02'.repeat(32),
    bytes: 41_234,
    writtenAt: '2026-01-31T12:00:00Z',
    confirmedAt: '2026-01-31T12:30:00Z',
  }
  const failing = { since: '2026-01-31T12:40:00Z', message: '/var/lib/skerry/region.json cannot be written: the disk is full.' }
  await region.stand(exportConfigMap(namespace, { file: { file, failing } }))
  const { body } = await region.call('GET', '/v1/region')
  const { content: _content, ...shown } = file
  assert.deepEqual(body.export, { file: { ...shown, failing } })
  assert.ok(body.parts.export.observedAt, 'it has an age')
})

test('a record of the places that somebody has damaged is none', async () => {
  const { metadata, ...object } = exportConfigMap(namespace, {})
  await region.stand({ ...object, metadata, data: { 'state.json': '{"file":{"file":{"digest":"none"}},"moon":{}}' } })
  const { body } = await region.call('GET', '/v1/region')
  assert.equal(body.export.file.writtenAt, null)
})
