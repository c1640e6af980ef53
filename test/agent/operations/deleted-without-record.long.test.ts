import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isProblem } from '../../../shared/errors.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { startDeletedScene } from './deleted-scene.ts'

test('without the CRD of deleted databases a deletion keeps the volumes, and says that there is no record', async (t) => {
  const scene = await startDeletedScene()
  t.after(() => scene.close())
  const { admin } = scene.region
  await scene.put('tide')
  const [{ volume } = { volume: '' }] = await scene.volumesOf('tide')
  await admin.request({
    method: 'DELETE',
    path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/retaineddatabases.skerry.dev',
  })
  await until('the kind is not served', () =>
    admin.request({ method: 'GET', path: pathOf(kinds.RetainedDatabase, 'skerry') }).then(
      () => false,
      (error) => isProblem(error, 'not-served'),
    ),
  )
  const deletion = await scene.remove('tide')
  assert.match(deletion.message, /1 volume was kept, see the result\. There is no record of it to have it back by/)
  assert.deepEqual([deletion.result.retainedVolumes[0].volume, deletion.result.deletedDatabase], [volume, undefined])
  const { spec } = await admin.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.PersistentVolume, undefined, volume) })
  assert.equal(spec.persistentVolumeReclaimPolicy, 'Retain')
  const answer = await until('the agent has noticed', async () => {
    const listed = await scene.call('GET', '/v1/projects/harbour/deleted-databases')
    return listed.status === 503 && listed
  })
  assert.match(answer.body.detail, /Deleted databases cannot be read/)
})
