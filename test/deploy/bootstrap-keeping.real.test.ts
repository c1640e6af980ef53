import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { openScene, succeeded } from './bootstrap-scene.ts'
import { helm } from './helm.ts'

// One story: what people have put into a region, data and work of their own, outlives what is taken away.

const scene = await openScene()
const { http, bench, token, charts, kubeconfig, install, uninstall } = scene
after(() => scene.close())

async function makeVolume(name: string, namespace: string, claim: string): Promise<void> {
  const spec = {
    capacity: { storage: '1Gi' },
    accessModes: ['ReadWriteOnce'],
    hostPath: { path: `/${name}` },
    persistentVolumeReclaimPolicy: 'Delete',
    claimRef: { namespace, name: claim },
  }
  assert.equal((await http.post('/api/v1/persistentvolumes', { metadata: { name }, spec })).status, 201)
}
const volumeOf = async (name: string) => (await http.get(`/api/v1/persistentvolumes/${name}`)).body

async function valuesOf(name: string, namespace: string) {
  const { stdout } = await helm(['get', 'values', name, '-n', namespace, '-o', 'json'], { kubeconfig })
  return JSON.parse(stdout)
}

test('a volume whose claim goes with its release stays, and is told', async () => {
  succeeded(await install(['--no-wait', '--only', 'grafana', '--only', 'loki']))
  assert.equal((await valuesOf('grafana', 'monitoring')).persistence.annotations['helm.sh/resource-policy'], 'keep')
  assert.equal((await valuesOf('loki', 'monitoring')).singleBinary.persistence.enableStatefulSetAutoDeletePVC, false)
  await makeVolume('boards', 'monitoring', 'grafana')
  const ran = await uninstall()
  succeeded(ran)
  const { metadata, spec } = await volumeOf('boards')
  assert.equal(spec.persistentVolumeReclaimPolicy, 'Retain')
  assert.equal(metadata.annotations['skerry.dev/retained-from'], 'monitoring/grafana')
  assert.match(ran.out, /What is left:[\s\S]* {7}volume boards \(monitoring\/grafana, \w+\)\n/)
  await http.delete('/api/v1/persistentvolumes/boards')
})

test('told to delete volumes, it leaves them as their class has them', async () => {
  succeeded(await install(['--no-wait', '--only', 'grafana']))
  await makeVolume('boards', 'monitoring', 'grafana')
  succeeded(await uninstall(['--delete-volumes']))
  assert.equal((await volumeOf('boards')).spec.persistentVolumeReclaimPolicy, 'Delete')
  await http.delete('/api/v1/persistentvolumes/boards')
})
