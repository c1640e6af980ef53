import assert from 'node:assert/strict'
import { componentsToCome, ownComponents } from '../../../agent/preflight/components.ts'
import type { Evidence } from '../../../agent/preflight/evidence.ts'
import { type Finding, worst } from '../../../agent/preflight/finding.ts'
import { judge } from '../../../agent/preflight/index.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'

/** A moment in which the clocks of everybody agree. */
export const noon = Date.parse('2026-01-31T12:00:00Z')

type NodeOptions = {
  cpu?: string
  memory?: string
  ready?: boolean
  spec?: object
  conditions?: object[]
  kubelet?: string
  address?: string
}

export function node(name: string, given: NodeOptions = {}): KubernetesObject {
  const { cpu = '8', memory = '32Gi', ready = true, spec = {}, conditions = [], kubelet = 'v1.35.2', address } = given
  const status = {
    capacity: { cpu, memory },
    allocatable: { cpu, memory },
    conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastHeartbeatTime: new Date(noon).toISOString() }, ...conditions],
    nodeInfo: { kubeletVersion: kubelet },
    ...(address !== undefined && { addresses: [{ type: 'InternalIP', address }] }),
  }
  return { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec, status }
}

export function storageClass(name: string, given: object = {}): KubernetesObject {
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name },
    provisioner: 'disks.example.org',
    allowVolumeExpansion: true,
    volumeBindingMode: 'WaitForFirstConsumer',
    ...given,
  }
}

export function namespace(name: string, metadata: object = {}, status: object = {}): KubernetesObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, ...metadata }, status }
}

export function deployment(namespace: string, name: string, readyReplicas = 1): KubernetesObject {
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { namespace, name }, status: { readyReplicas } }
}

/** The operator's Deployment with these variables; what begins with CRATEDB_OPERATOR_ is left out of their names. */
export function operator(env: Record<string, string> = {}): KubernetesObject {
  const container = { name: 'operator', env: Object.entries(env).map(([name, value]) => ({ name: `CRATEDB_OPERATOR_${name}`, value })) }
  const made = deployment('crate-operator', 'crate-operator')
  return { ...made, spec: { template: { spec: { containers: [container] } } } }
}

export function definition(name: string, metadata: object = {}, kind = 'CrateDB'): KubernetesObject {
  const [plural, ...group] = name.split('.')
  const spec = { group: group.join('.'), names: { kind, plural }, scope: 'Namespaced', versions: [{ name: 'v1', storage: true }] }
  return { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name, ...metadata }, spec }
}

const isDefault = { annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } }

/** What an installer sees of a cluster in which nothing is wrong. */
export const fine: Evidence = {
  audience: 'installer',
  components: componentsToCome(ownComponents),
  now: noon,
  serverDate: noon,
  roundTripMs: 10,
  nodeClocks: undefined,
  cloudClock: undefined,
  kubernetes: 'v1.35.2',
  nodes: ['quay-1', 'quay-2', 'quay-3'].map((name, index) =>
    node(name, { spec: { podCIDRs: [`10.244.${index}.0/24`] }, address: `192.0.2.${index + 1}` }),
  ),
  pods: [],
  storageClasses: [storageClass('crate-premium', { metadata: { name: 'crate-premium', ...isDefault } }), storageClass('crate-local')],
  namespaces: [namespace('default')],
  rights: [{ right: { verb: 'create', group: '', resource: 'namespaces' }, allowed: true }],
  deployments: [],
  definitions: [],
  instances: [],
  webhooks: [],
  apiServices: [],
  operator: undefined,
  isConfined: undefined,
  reached: [],
  charts: [],
  serviceCidrs: ['10.96.0.0/12'],
  siteCidrs: ['192.168.0.0/16'],
  unread: [],
}

/** What is found when something is otherwise than fine. */
export function findings(given: Partial<Evidence>): Finding[] {
  return judge({ ...fine, ...given })
}

/** `level id` of everything that is not ok, in the order of the answer. */
export function trouble(given: Partial<Evidence>): string[] {
  return findings(given).flatMap(({ level, id }) => (level === 'ok' ? [] : [`${level} ${id}`]))
}

export function levelOf(given: Partial<Evidence>) {
  return worst(findings(given))
}

/** That what is not ok says why it matters and what to do, and what is ok does not. */
export function assertExplained(found: Finding[]): void {
  for (const { level, what, why, action, id } of found) {
    assert.ok(what.length > 0 && !what.includes('undefined'), `${id}: ${what}`)
    assert.equal(why !== '', level !== 'ok', `${id}: ${why}`)
    assert.equal(action !== '', level !== 'ok', `${id}: ${action}`)
    assert.ok(!`${why}${action}`.includes('undefined'), `${id}: ${why} ${action}`)
  }
}
