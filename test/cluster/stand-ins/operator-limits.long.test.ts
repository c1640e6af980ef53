import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { untilQuotasCount } from '../until.ts'
import { type Fixture, hasEnded, progressIn, startFixture } from './fixture.ts'

let fixture: Fixture
before(async () => {
  fixture = await startFixture({ nodes: 4 })
})
after(() => fixture.stop())

test('a pod that a quota refuses leaves an Event FailedCreate on its StatefulSet, in the words of the real controller', async () => {
  const namespace = await fixture.project()
  const quota = { metadata: { name: 'small', namespace }, spec: { hard: { pods: '1' } } }
  await fixture.observer.cluster.request({ method: 'POST', path: `/api/v1/namespaces/${namespace}/resourcequotas`, body: quota })
  await untilQuotasCount(fixture.cluster, namespace)
  await fixture.create(namespace, 'gauge')
  const { reason, type, message, involvedObject, source } = await fixture.event(namespace, /in StatefulSet .* exceeded quota/)
  assert.deepEqual([reason, type, source.component], ['FailedCreate', 'Warning', 'statefulset-controller'])
  assert.match(
    message,
    /^create Pod crate-data-hot-gauge-\d in StatefulSet crate-data-hot-gauge failed error: pods .* is forbidden: exceeded quota: small/,
  )
  assert.deepEqual([involvedObject.kind, involvedObject.name], ['StatefulSet', 'crate-data-hot-gauge'])
})

test('taking the group that can be master to 0, while another one runs on, never ends', async () => {
  const subject = await fixture.created(await fixture.project(), 'tiers', (spec) => {
    const [group] = spec.nodes.data
    spec.nodes.data = [
      { ...group, replicas: 1 },
      { ...group, name: 'cold', replicas: 1 },
    ]
  })
  await subject.editGroup((group) => {
    group.replicas = 0
  })
  const stuck = await subject.until((object) =>
    Object.entries(progressIn(object)).some(([id, { message }]) => id.includes('scale') && message === 'Waiting for database connection.'),
  )
  assert.equal(hasEnded(stuck), false)
})

test('another registry alone is an upgrade: every StatefulSet and pod gets the image', async () => {
  const subject = await fixture.created(await fixture.project(), 'mirrored', (spec) => {
    spec.nodes.data[0].replicas = 1
  })
  await subject.run(() => subject.edit({ spec: { cluster: { imageRegistry: 'mirror.example/crate' } } }))
  const { status, spec } = subject.now()
  assert.deepEqual(status['cluster_update/after_upgrade'], { success: true, ref: status.cluster_update.ref })
  const image = `mirror.example/crate:${spec.cluster.version}`
  const [pod] = await fixture.pods(subject.namespace, 1)
  const set = await fixture.read('StatefulSet', `${subject.namespace}/crate-data-hot-mirrored`)
  assert.deepEqual([imageIn(set.spec.template), imageIn(pod)], [image, image])
})

test('heapRatio alone is ignored for data, and runs a whole compute change for masters', async () => {
  const subject = await fixture.created(await fixture.project(), 'heaps', (spec) => {
    const { name: _, ...group } = spec.nodes.data[0]
    spec.nodes.data[0].replicas = 1
    spec.nodes.master = { ...group, replicas: 3 }
  })
  await subject.run(() =>
    subject.editGroup((group) => {
      group.resources.heapRatio = 0.5
    }),
  )
  assert.equal(subject.now().status.cluster_update, undefined)
  await subject.run(() => subject.edit({ spec: { nodes: { master: { resources: { heapRatio: 0.5 } } } } }))
  const { status } = subject.now()
  assert.deepEqual(status['cluster_update/after_change_compute'], { success: true, ref: status.cluster_update.ref })
})

// biome-ignore lint/suspicious/noExplicitAny: a pod, or the template of one
function imageIn({ spec }: any): string {
  return spec.containers.find(({ name }: { name: string }) => name === 'crate').image
}
