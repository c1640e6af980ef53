import assert from 'node:assert/strict'
import { test } from 'node:test'
import { desiredCrateDB, readDatabase } from '../../../agent/resources/cratedb.ts'
import { undoOf } from '../../../agent/resources/cratedb-undo.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { options, stored, target } from './samples.ts'

/** A database of three nodes that is scaled to four since 12:00. The fourth pod has no host; its claim is bound. */
function scaling(podAt: string, claimAt: string) {
  const three = desiredCrateDB(target, stored(), options)
  const four = structuredClone(three)
  four.spec.nodes.data[0].replicas = 4
  four.metadata.annotations = {
    ...four.metadata.annotations,
    'operator.cloud.crate.io/last': JSON.stringify({ spec: three.spec }),
    'operator.cloud.crate.io/cluster_update.scale': JSON.stringify({ started: '2026-01-31T12:00:00.000000' }),
  }
  four.status = { 'cluster_create/bootstrap': { success: true } }
  const set = `crate-data-hot-${four.metadata.name}`
  const object = (kind: string, name: string, creationTimestamp: string, spec: object): KubernetesObject => {
    const labels = { 'cloud.crate.io/node-name': 'hot' }
    return { apiVersion: 'v1', kind, metadata: { name, labels, creationTimestamp }, spec }
  }
  const before = '2026-01-01T12:00:00Z'
  const members = [0, 1, 2].map((number) => object('Pod', `${set}-${number}`, before, { nodeName: `node-${number}` }))
  const nodes = {
    pods: [...members, object('Pod', `${set}-3`, podAt, {})],
    claims: [object('PersistentVolumeClaim', `data0-${set}-3`, claimAt, { volumeName: 'pv' })],
    statefulSets: [object('StatefulSet', set, before, { replicas: 4 })],
  }
  return { current: four, wanted: readDatabase(three), nodes }
}

const cases = [
  { name: 'takes back a node whose pod is as old as its claim', pod: '12:00:03', claim: '12:00:02', takesBack: true },
  { name: 'keeps a node whose pod is younger than the claim that the scaling made', pod: '12:09:00', claim: '12:00:02', takesBack: false },
  {
    name: 'takes back a node with a volume of an earlier one, if its pod is as old as the run',
    pod: '12:00:03',
    claim: '09:00:00',
    takesBack: true,
  },
  {
    name: 'keeps a node with a volume of an earlier one, if its pod is younger than the run',
    pod: '12:09:00',
    claim: '09:00:00',
    takesBack: false,
  },
]
for (const { name, pod, claim, takesBack } of cases) {
  test(`taking back a scaling ${name}`, () => {
    const { current, wanted, nodes } = scaling(`2026-01-31T${pod}Z`, `2026-01-31T${claim}Z`)
    assert.equal(undoOf(current, wanted, nodes, 0)?.spec.nodes.data[0].replicas, takesBack ? 3 : undefined)
  })
}
