import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ownComponents } from '../../../agent/preflight/components.ts'
import { componentsOf, type KnownComponent, workloadView } from '../../../agent/region/components.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'

/** A workload as the charts make it: these labels are those of the templates in their repositories. */
function workload(
  kind: 'Deployment' | 'StatefulSet' | 'DaemonSet',
  place: string,
  labels: Record<string, string>,
  { replicas, ready }: { replicas: number; ready: number } = { replicas: 1, ready: 1 },
): KubernetesObject {
  const [namespace = '', name = ''] = place.split('/')
  const counts = kind === 'DaemonSet' ? { desiredNumberScheduled: replicas, numberReady: ready } : { replicas, readyReplicas: ready }
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name, namespace, labels },
    spec: kind === 'DaemonSet' ? {} : { replicas },
    status: counts,
  }
}

const known: KnownComponent[] = [
  {
    name: 'cert-manager',
    role: 'usual',
    chart: 'cert-manager',
    version: 'v1.21.1',
    namespace: 'cert-manager',
    present: ['deployments:app.kubernetes.io/name=cert-manager'],
  },
  { name: 'prometheus', role: 'usual', chart: 'kube-prometheus-stack', version: '88.5.3', namespace: 'monitoring', present: [] },
  {
    name: 'flux',
    role: 'usual',
    chart: 'flux2',
    version: '2.18.3',
    namespace: 'flux-system',
    present: ['deployments:app.kubernetes.io/part-of=flux,app.kubernetes.io/component=helm-controller'],
  },
  { name: 'alloy', role: 'usual', chart: 'alloy', version: '1.11.1', namespace: 'monitoring', present: [] },
  { name: 'ingress-nginx', role: 'retired', chart: 'ingress-nginx', version: '4.13.9', namespace: 'ingress-nginx', present: [] },
]
const plurals = { Deployment: 'deployments', StatefulSet: 'statefulsets', DaemonSet: 'daemonsets' }
const seen = (...objects: KubernetesObject[]) =>
  componentsOf(
    objects.map((object) => workloadView(plurals[object.kind as 'Deployment'], known)(object)),
    known,
  )
const labelsOf = (chart: string, version: string) => ({ 'helm.sh/chart': chart, 'app.kubernetes.io/version': version })

test('a component is current, outdated or newer by the version of its chart', () => {
  for (const [version, state] of [
    ['v1.21.1', 'current'],
    ['v1.9.30', 'outdated'],
    ['v1.22.0', 'newer'],
    ['1.21.1', 'current'],
  ])
    assert.deepEqual(
      seen(workload('Deployment', 'cert-manager/cert-manager', labelsOf(`cert-manager-${version}`, 'v1.21.1')))['cert-manager'],
      {
        state,
        have: version,
        want: 'v1.21.1',
        version: 'v1.21.1',
        namespace: 'cert-manager',
        ready: true,
      },
    )
})

test('kube-prometheus-stack names its chart in another label, and a label has _ where the version has +', () => {
  const operator = workload('Deployment', 'monitoring/prometheus-operator', { chart: 'kube-prometheus-stack-88.5.3_1' })
  assert.deepEqual(seen(operator).prometheus, { state: 'current', have: '88.5.3+1', want: '88.5.3', namespace: 'monitoring', ready: true })
})

test('what somebody installed by other means is foreign; what is not there is missing; a retired one is shown while it is there', () => {
  const flux = {
    'app.kubernetes.io/part-of': 'flux',
    'app.kubernetes.io/component': 'helm-controller',
    'app.kubernetes.io/version': 'v2.7.0',
  }
  const states = seen(
    workload('Deployment', 'flux-system/helm-controller', flux),
    workload('Deployment', 'ingress-nginx/controller', labelsOf('ingress-nginx-4.13.9', '1.13.0')),
    workload('StatefulSet', 'other/cert-manager', { 'app.kubernetes.io/name': 'cert-manager' }),
    workload('Deployment', 'other/alloy-like', labelsOf('alloyed-1.0.0', '1')),
  )
  assert.deepEqual(states.flux, { state: 'foreign', want: '2.18.3', version: 'v2.7.0', namespace: 'flux-system', ready: true })
  assert.deepEqual(states['ingress-nginx'], {
    state: 'retired',
    have: '4.13.9',
    version: '1.13.0',
    namespace: 'ingress-nginx',
    ready: true,
  })
  assert.deepEqual(
    [states['cert-manager'], states.alloy],
    [
      { state: 'missing', want: 'v1.21.1' },
      { state: 'missing', want: '1.11.1' },
    ],
  )
  assert.equal(seen()['ingress-nginx'], undefined)
})

test('it is ready when all its workloads are; of two installations the one in the usual namespace counts', () => {
  const labels = labelsOf('alloy-1.11.1', 'v1.10.0')
  const usual = workload('DaemonSet', 'monitoring/alloy', labels, { replicas: 3, ready: 2 })
  const other = workload('DaemonSet', 'logs/alloy', labelsOf('alloy-0.1.0', 'v0.1.0'))
  assert.deepEqual([seen(other, usual).alloy?.have, seen(other, usual).alloy?.ready], ['1.11.1', false])
  assert.deepEqual([seen(other).alloy?.have, seen(other).alloy?.ready], ['0.1.0', true])
})

test('of a workload that is no component, its name is kept, and no label of it', () => {
  const view = workloadView('deployments', known)(workload('Deployment', 'shop/till', { 'app.kubernetes.io/name': 'till', token: 'x' }))
  assert.deepEqual(view, { metadata: { name: 'till', namespace: 'shop' } })
})

test('each component that has a workload to wait for can be recognised by its chart', () => {
  const waitedFor = ownComponents.filter(
    ({ wait, role }) => role !== 'retired' && wait.some((each) => /^(deploy|stateful|daemon)/.test(each)),
  )
  assert.ok(waitedFor.length > 0, 'there are such components')
  for (const component of waitedFor) {
    const view = workloadView(
      'deployments',
      ownComponents,
    )(workload('Deployment', 'x/y', labelsOf(`${component.chart}-${component.version}`, '1')))
    assert.deepEqual([view.part?.component, view.part?.chartVersion], [component.name, component.version])
  }
})
