import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { onChangeOfRegion } from '../../../agent/export/changes.ts'
import { createStack } from '../../../agent/region/stack.ts'
import { desiredCrateDB } from '../../../agent/resources/cratedb.ts'
import { desiredProject, projectSpec } from '../../../agent/resources/project.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../shared/log.ts'
import { cachesInHand } from '../caches-in-hand.ts'
import { csiVolume } from '../region-file/region-sample.ts'
import { options, stored, target } from '../resources/samples.ts'

const hand = await cachesInHand('skerry')
after(() => hand.stop())
const cluster = { request: async () => ({}), async *watch() {} } as unknown as Cluster
const stack = createStack(
  [{ name: 'crate-operator', role: 'needed', chart: 'crate-operator', version: '2.64.0', namespace: 'crate-operator', present: [] }],
  { cluster, clock: systemClock, log: createLog({ level: 'silent', name: 'test' }) },
)

let changes = 0
for (const unsubscribe of onChangeOfRegion({ caches: hand.caches, stack }, () => void changes++)) after(unsubscribe)

/** Whether a change of the object counts as one of the region. */
async function counts(object: KubernetesObject, edit: (object: KubernetesObject) => void): Promise<boolean> {
  await hand.set(object)
  const before = changes
  const edited = structuredClone(object)
  edit(edited)
  await hand.set(edited)
  return changes > before
}

const database = () => desiredCrateDB(target, stored(), options)
const annotated = (name: string) => (object: KubernetesObject) => {
  object.metadata.annotations = { ...object.metadata.annotations, [name]: 'x' }
}

const cases: [what: string, object: () => KubernetesObject, edit: (object: KubernetesObject) => void, isChange: boolean][] = [
  ['a database that grows', database, ({ spec }) => void Object.assign(spec.nodes.data[0], { replicas: 5 }), true],
  ['a member of a database that only an annotation has', database, annotated('skerry.dev/database'), true],
  ['a label of a database', database, ({ metadata }) => void Object.assign(metadata.labels ?? {}, { team: 'tides' }), true],
  [
    'the deletion of a database',
    database,
    ({ metadata }) => void Object.assign(metadata, { deletionTimestamp: '2026-01-31T12:00:00Z' }),
    true,
  ],
  ['the health of a database', database, (object) => void Object.assign(object, { status: { crateDBStatus: { health: 'RED' } } }), false],
  ['the progress of the operator', database, annotated('operator.cloud.crate.io/cluster_update'), false],
  [
    'the use of a project',
    () => desiredProject(projectSpec.parse({ id: 'harbour' })),
    (object) => void Object.assign(object, { status: { usage: { cpu: '6' } } }),
    false,
  ],
  [
    'the quota of a project',
    () => desiredProject(projectSpec.parse({ id: 'harbour' })),
    ({ spec }) => void Object.assign(spec, { quota: { cpu: 24 } }),
    true,
  ],
  [
    'a volume that grows',
    () => csiVolume('harbour', 'tidal-gauge', 0),
    ({ spec }) => void Object.assign(spec.capacity, { storage: '96Gi' }),
    true,
  ],
  [
    'a volume that serves no database',
    () => {
      const volume = csiVolume('harbour', 'tidal-gauge', 1, { name: 'of-prometheus' })
      volume.spec.claimRef = { namespace: 'monitoring', name: 'prometheus-0' }
      return volume
    },
    ({ spec }) => void Object.assign(spec.capacity, { storage: '96Gi' }),
    false,
  ],
]
for (const [what, object, edit, isChange] of cases) {
  test(`${what} is ${isChange ? 'a' : 'no'} change of the region`, async () => {
    assert.equal(await counts(object(), edit), isChange)
  })
}

test('another version of a component is a change of the region, and its readiness is none', () => {
  const deployment = (chart: string, ready: number, version: string): KubernetesObject => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'crate-operator', namespace: 'crate-operator', resourceVersion: version, labels: { 'helm.sh/chart': chart } },
    spec: { replicas: 1 },
    status: { readyReplicas: ready },
  })
  const [deployments] = stack.workloads
  // biome-ignore lint/suspicious/noExplicitAny: what a watch would hand over
  const put = (object: KubernetesObject) => (deployments as any).put(viewOf(object))
  const viewOf = (object: KubernetesObject) => ({
    metadata: object.metadata,
    part: {
      component: 'crate-operator',
      chartVersion: object.metadata.labels?.['helm.sh/chart'],
      isReady: object.status?.readyReplicas === 1,
    },
  })
  const after = (object: KubernetesObject) => {
    const before = changes
    put(object)
    return changes > before
  }
  assert.equal(after(deployment('crate-operator-2.63.0', 1, '1')), true)
  assert.equal(after(deployment('crate-operator-2.63.0', 0, '2')), false)
  assert.equal(after(deployment('crate-operator-2.64.0', 0, '3')), true)
})
