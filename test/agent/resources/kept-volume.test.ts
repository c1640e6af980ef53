import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DataVolume, dataVolumeOf, keepingPatch, lettingGoPatch } from '../../../agent/resources/kept-volume.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { crateDB } from '../region/scene.ts'

const database: KubernetesObject = crateDB('project-harbour', 'tide')
const claimRef = { namespace: 'project-harbour', name: 'data0-crate-data-hot-tide-0' }
const volume = (policy: string, given: { claimRef?: object; phase?: string } = {}): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name: 'pv-1', resourceVersion: '7' },
  spec: { persistentVolumeReclaimPolicy: policy, claimRef: given.claimRef ?? claimRef },
  status: { phase: given.phase ?? 'Bound' },
})
const read = (object: KubernetesObject) => dataVolumeOf(object) as DataVolume
const shape = '{"version":"5.10.1","nodes":{"count":3,"disk":{"count":1,"size":"64Gi","storageClass":"crate-premium"}}}'

/** A volume as the merge patch leaves it. */
function patched(before: KubernetesObject, patch: ReturnType<typeof keepingPatch>): KubernetesObject {
  const merged = (has: Record<string, string> = {}, marks: Record<string, string | null> = {}) =>
    Object.fromEntries(Object.entries({ ...has, ...marks }).filter(([, value]) => value !== null)) as Record<string, string>
  const { labels, annotations } = before.metadata
  const metadata = {
    ...before.metadata,
    labels: merged(labels, patch?.metadata.labels),
    annotations: merged(annotations, patch?.metadata.annotations),
  }
  return { ...before, metadata, spec: { ...before.spec, ...patch?.spec } }
}

test('a volume that is kept bears its policy of before, its claim, its owner, and the shape of the database that takes it back', () => {
  const kept = patched(volume('Delete'), keepingPatch(read(volume('Delete')), 'tide', database))
  assert.equal(kept.spec.persistentVolumeReclaimPolicy, 'Retain')
  assert.deepEqual(kept.metadata.labels, { 'skerry.dev/project': 'harbour', 'skerry.dev/database': 'tide' })
  assert.deepEqual(kept.metadata.annotations, {
    'skerry.dev/retained-from': 'project-harbour/data0-crate-data-hot-tide-0',
    'skerry.dev/reclaim-policy': 'Delete',
    'skerry.dev/database-shape': shape,
  })
  assert.equal(keepingPatch(read(kept), 'tide', database), undefined, 'nothing is left to do')
})

test('a volume whose class retains has no policy to go back to, and is not let go', () => {
  const kept = patched(volume('Retain'), keepingPatch(read(volume('Retain')), 'tide', database))
  assert.equal(kept.metadata.annotations?.['skerry.dev/reclaim-policy'], undefined)
  assert.deepEqual(lettingGoPatch(kept, 'op-0000000004'), {
    metadata: { annotations: { 'skerry.dev/let-go-by': 'op-0000000004' } },
  })
})

test('a volume that is let go has its policy back, says by whom, and is kept again when that is taken back', () => {
  const kept = patched(volume('Delete'), keepingPatch(read(volume('Delete')), 'tide', database))
  const gone = patched(kept, lettingGoPatch(kept, 'op-0000000004'))
  assert.equal(gone.spec.persistentVolumeReclaimPolicy, 'Delete')
  assert.equal(gone.metadata.annotations?.['skerry.dev/let-go-by'], 'op-0000000004')
  assert.deepEqual(patched(gone, keepingPatch(read(gone), 'tide', database)), kept)
})

test('what somebody changed on a kept volume is put right, and the shape of a database that is gone stays as it was noted', () => {
  const kept = patched(volume('Delete'), keepingPatch(read(volume('Delete')), 'tide', database))
  for (const changed of [
    { ...kept, spec: { ...kept.spec, persistentVolumeReclaimPolicy: 'Delete' } },
    { ...kept, metadata: { ...kept.metadata, labels: {} } },
    { ...kept, metadata: { ...kept.metadata, annotations: { ...kept.metadata.annotations, 'skerry.dev/retained-from': 'elsewhere/a' } } },
  ]) {
    assert.deepEqual(patched(changed, keepingPatch(read(changed), 'tide', database)), kept)
  }
  assert.equal(keepingPatch(read(kept), 'tide', undefined), undefined)
})

test('what serves no data claim of a project, or does so no more, is nobody to keep', () => {
  const others = [
    volume('Delete', { claimRef: { ...claimRef, name: 'debug-crate-data-hot-tide-0' } }),
    volume('Delete', { claimRef: { ...claimRef, name: 'database' } }),
    volume('Delete', { claimRef: { ...claimRef, namespace: 'harbour' } }),
    volume('Delete', { claimRef: {} }),
    volume('Delete', { phase: 'Released' }),
    volume('Delete', { phase: 'Failed' }),
  ]
  assert.deepEqual(
    others.map(dataVolumeOf),
    others.map(() => undefined),
  )
  assert.ok(dataVolumeOf(volume('Delete', { claimRef: { ...claimRef, name: 'data12-crate-master-tide-0' } })))
})
