import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { metadataSection } from '../../../agent/resources/allowed-keys.ts'
import { type QuietRegion, startQuietRegion, storageClasses, usualDatabase } from './region.ts'

let region: QuietRegion

before(async () => {
  region = await startQuietRegion()
  for (const storageClass of storageClasses) await region.stand(storageClass)
  await region.standProject({ id: 'harbour' })
})
after(() => region?.close())

const message = (member: 'labels' | 'annotations', allowed: string) =>
  `is not allowed: this region allows ${allowed}; leave it out, or have the operator of the region add it to metadata.${member} of the agent's configuration`
const labels = message('labels', 'team, example.org/')
const annotations = message('annotations', 'example.org/')

const strange = {
  labels: { app: 'loki', team: 'tides', 'example.org/cost': '1', 'example.org.evil.net/x': '1', 'admission.gatekeeper.sh/ignore': 'true' },
  annotations: {
    'example.org/team': 'tides',
    'sidecar.istio.io/inject': 'true',
    'iam.amazonaws.com/role': 'admin',
    'k8s.v1.cni.cncf.io/networks': 'host',
  },
}
const strangeLabels = [
  ['/labels/app', labels],
  ['/labels/example.org.evil.net~1x', labels],
  ['/labels/admission.gatekeeper.sh~1ignore', labels],
]
const pairs = (faults: { path: string; message: string }[]) => faults.map(({ path, message }) => [path, message])

test('labels and annotations that the site does not allow are refused, all at once, each with its path', async () => {
  const { status, body } = await region.call('PUT', '/v1/projects/harbour/databases/new', { body: { ...usualDatabase, ...strange } })
  assert.equal(status, 422)
  assert.deepEqual(pairs(body.faults), [
    ...strangeLabels,
    ['/annotations/sidecar.istio.io~1inject', annotations],
    ['/annotations/iam.amazonaws.com~1role', annotations],
    ['/annotations/k8s.v1.cni.cncf.io~1networks', annotations],
  ])
  const project = await region.call('PUT', '/v1/projects/new?dryRun=true', { body: { labels: strange.labels } })
  assert.deepEqual([project.status, pairs(project.body.faults)], [422, strangeLabels])
  const patch = await region.call('PATCH', '/v1/projects/harbour', { body: { labels: strange.labels } })
  assert.deepEqual([patch.status, pairs(patch.body.faults)], [422, strangeLabels])
  const allowed = { labels: { team: 'tides', 'example.org/cost': '1' }, annotations: { 'example.org/team': 'tides' } }
  assert.equal((await region.call('PUT', '/v1/projects/harbour/databases/new', { body: { ...usualDatabase, ...allowed } })).status, 202)
})

test('what an object already has stays through other changes, can be removed, and cannot be changed', async () => {
  await region.standProject({ id: 'old', labels: { app: 'loki', env: 'test' } })
  await region.standDatabase('old', { id: 'gauge', labels: { app: 'loki' }, annotations: { 'sidecar.istio.io/inject': 'true' } })
  const project = '/v1/projects/old'
  const changed = await region.call('PATCH', `${project}?dryRun=true`, { body: { labels: { app: 'prometheus' } } })
  assert.deepEqual(pairs(changed.body.faults), [['/labels/app', labels]])
  const removed = await region.call('PATCH', `${project}?dryRun=true`, { body: { labels: { env: null } } })
  assert.equal(removed.status, 200)
  const renamed = await region.call('PATCH', project, { body: { displayName: 'Old harbour' } })
  assert.equal(renamed.status, 202)
  assert.deepEqual((await region.call('GET', project)).body.labels, { app: 'loki', env: 'test' })
  const { status: _, ...whole } = (await region.call('GET', project)).body
  assert.equal((await region.call('PUT', project, { body: whole })).status, 200)

  const gauge = `${project}/databases/gauge`
  const grown = await region.call('PATCH', gauge, { body: { nodes: { count: 5 } } })
  assert.equal(grown.status, 202)
  assert.deepEqual((await region.call('GET', gauge)).body.annotations, { 'sidecar.istio.io/inject': 'true' })
})

const configured = [
  { given: {}, labels: [] },
  { given: { labels: ['team', 'example.org/', 'example.org/one'] }, labels: ['team', 'example.org/', 'example.org/one'] },
  { given: { labels: ['skerry.dev/'] }, says: /the prefix skerry.dev is reserved/ },
  { given: { labels: ['pod-security.kubernetes.io/enforce'] }, says: /the prefix kubernetes.io is reserved/ },
  { given: { labels: ['/'] }, says: /DNS name/ },
  { given: { labels: [''] }, says: /1 to 63 letters/ },
  { given: { labels: ['*'] }, says: /1 to 63 letters/ },
]
for (const { given, labels, says } of configured) {
  test(`a site that allows ${JSON.stringify(given)} ${says ? 'is told the fault' : 'allows just that'}`, () => {
    const { success, data, error } = metadataSection.safeParse(given)
    assert.equal(success, says === undefined)
    if (says) assert.match(error?.message ?? '', says)
    else assert.deepEqual(data, { labels, annotations: [] })
  })
}
