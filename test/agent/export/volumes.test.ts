import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readVolumes } from '../../../agent/export/volumes.ts'
import { desiredCrateDB } from '../../../agent/resources/cratedb.ts'
import { csiVolume } from '../region-file/region-sample.ts'
import { options, stored } from '../resources/samples.ts'

test('volumes without a label are those of the database that has their claim, not of one whose name ends like its own', async () => {
  const names = ['gauge', 'tidal-gauge']
  const databases = names.map((id) => desiredCrateDB({ kind: 'database', project: 'harbour', database: id }, stored({ id }), options))
  const items = names.map((id) => {
    const volume = { ...csiVolume('harbour', id, 0), status: { phase: 'Bound' } }
    delete volume.metadata.labels
    return volume
  })
  const cluster = { request: async () => ({ items }) as never }
  const volumes = await readVolumes(cluster, () => databases, new AbortController().signal)
  const claims = names.map((id) => volumes.of(`project-harbour/${id}`).map(({ text }) => JSON.parse(text).spec.claimRef.name))
  assert.deepEqual(claims, [['data0-crate-data-hot-gauge-0'], ['data0-crate-data-hot-tidal-gauge-0']])
})
