import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Evidence } from '../../../agent/preflight/evidence.ts'
import {
  assertExplained,
  definition,
  deployment,
  findings,
  fine,
  namespace,
  node,
  noon,
  operator,
  storageClass,
  trouble,
} from './samples.ts'

const deleted = { deletionTimestamp: '2026-01-31T11:00:00Z' }
const [premium, local] = fine.storageClasses as [NonNullable<Evidence['storageClasses']>[0], NonNullable<Evidence['storageClasses']>[0]]
const three = (given: Parameters<typeof node>[1]) => ['a', 'b', 'c'].map((name) => node(name, given))
const podsOn = (node: string | undefined, namespace: string, millicores: number) => ({ node, namespace, pods: 1, millicores, bytes: 0n })
const hanging = {
  apiVersion: 'cloud.crate.io/v1',
  kind: 'CrateDB',
  metadata: { name: 'tide', namespace: 'project-harbour', finalizers: ['operator.cloud.crate.io/finalizer'], ...deleted },
}
const strictWebhook = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingWebhookConfiguration',
  metadata: { name: 'cert-manager-webhook' },
  webhooks: [{ failurePolicy: 'Fail', clientConfig: { service: { namespace: 'cert-manager', name: 'webhook' } } }],
}

/** Nodes whose clocks are so far ahead of that of this machine. */
const nodesAhead = (...aheadMs: number[]) =>
  new Map(aheadMs.map((offsetMs, index) => [`quay-${index + 1}`, { offsetMs, uncertaintyMs: 20 }]))

const cases: { name: string; given: Partial<Evidence>; expect: string[] }[] = [
  { name: 'finds nothing in a cluster in which nothing is wrong', given: {}, expect: [] },

  {
    name: 'refuses a Kubernetes older than the chart does',
    given: { kubernetes: 'v1.19.16' },
    expect: ['fail kubernetes-version', 'warn kubelet-version', 'fail component-version/needed', 'warn component-version/usual'],
  },
  {
    name: 'warns of one without admission policies',
    given: { kubernetes: 'v1.29.15-gke.1', nodes: three({ kubelet: 'v1.29.15' }) },
    expect: ['warn kubernetes-version', 'warn component-version/usual'],
  },
  {
    name: 'warns of one that is newer than those that were tried',
    given: { kubernetes: 'v1.37.0', nodes: three({ kubelet: 'v1.37.0' }) },
    expect: ['warn kubernetes-version'],
  },
  { name: 'warns of an agent that no policy confines', given: { audience: 'agent', isConfined: false }, expect: ['warn agent-boundary'] },
  { name: 'takes one that a policy confines', given: { audience: 'agent', isConfined: true }, expect: [] },
  {
    name: 'says of a Kubernetes without policies only that it is old',
    given: { audience: 'agent', isConfined: false, kubernetes: 'v1.29.15', nodes: three({ kubelet: 'v1.29.15' }) },
    expect: ['warn kubernetes-version'],
  },
  { name: 'takes what a vendor adds to the version', given: { kubernetes: 'v1.35.2+k3s1' }, expect: [] },
  { name: 'warns of a version that is none', given: { kubernetes: 'main' }, expect: ['warn kubernetes-version'] },
  { name: 'warns of kubelets four versions behind', given: { nodes: three({ kubelet: 'v1.31.0' }) }, expect: ['warn kubelet-version'] },
  { name: 'takes kubelets three versions behind', given: { nodes: three({ kubelet: 'v1.32.0' }) }, expect: [] },

  { name: 'fails without nodes', given: { nodes: [] }, expect: ['fail nodes'] },
  { name: 'fails when no node takes pods', given: { nodes: three({ ready: false }) }, expect: ['fail nodes', 'warn nodes-not-ready'] },
  { name: 'warns below three nodes', given: { nodes: three({}).slice(1) }, expect: ['warn nodes'] },
  {
    name: 'does not count nodes that are kept for something',
    given: { nodes: [...three({}).slice(1), node('gpu', { spec: { taints: [{ key: 'gpu', effect: 'NoSchedule' }] } })] },
    expect: ['warn nodes'],
  },
  {
    name: 'warns of a node that is in want of disk',
    given: { nodes: three({ conditions: [{ type: 'DiskPressure', status: 'True' }] }) },
    expect: ['warn nodes-under-pressure'],
  },

  {
    name: 'fails when the stack does not fit',
    given: { nodes: three({ cpu: '1500m', memory: '2Gi' }) },
    expect: ['fail cpu', 'fail memory'],
  },
  {
    name: 'warns when only the stack fits',
    given: { nodes: three({ cpu: '1800m', memory: '2800Mi' }) },
    expect: ['warn cpu', 'warn memory'],
  },
  {
    name: 'warns when no database fits beside the stack',
    given: { nodes: three({ cpu: '2200m', memory: '3300Mi' }) },
    expect: ['warn cpu', 'warn memory'],
  },
  {
    name: 'takes off what pods of others request',
    given: { nodes: three({ cpu: '4' }), pods: [podsOn('a', 'erp', 7500)] },
    expect: ['fail cpu'],
  },
  {
    name: 'takes nothing off for pods without a node, and for pods on nodes that take no new ones',
    given: {
      nodes: [...three({ cpu: '4' }), node('cordoned', { cpu: '4', spec: { unschedulable: true } })],
      pods: [podsOn(undefined, 'erp', 7500), podsOn('cordoned', 'erp', 4000), podsOn('gone', 'erp', 4000)],
    },
    expect: [],
  },
  {
    name: 'counts the pods of the stack by what it needs, not twice',
    given: { nodes: three({ cpu: '4' }), pods: [podsOn('a', 'monitoring', 7500)] },
    expect: [],
  },

  { name: 'fails without any storage class', given: { storageClasses: [] }, expect: ['fail storage-classes'] },
  { name: 'warns of a class that is missing', given: { storageClasses: [premium] }, expect: ['warn storage-class-missing/crate-local'] },
  {
    name: 'refuses local volumes on GKE',
    given: {
      kubernetes: 'v1.35.2-gke.100',
      storageClasses: [premium, storageClass('crate-local', { provisioner: 'kubernetes.io/no-provisioner' })],
    },
    expect: ['fail storage-class-gke-local/crate-local'],
  },
  {
    name: 'knows GKE by its nodes too',
    given: {
      nodes: three({ spec: { providerID: 'gce://project/zone/a' } }),
      storageClasses: [premium, storageClass('crate-local', { provisioner: 'kubernetes.io/no-provisioner' })],
    },
    expect: ['fail storage-class-gke-local/crate-local'],
  },
  {
    name: 'takes local volumes elsewhere',
    given: { storageClasses: [premium, storageClass('crate-local', { provisioner: 'kubernetes.io/no-provisioner' })] },
    expect: [],
  },
  {
    name: 'warns that folders of a node report no usage',
    given: { storageClasses: [premium, storageClass('crate-local', { provisioner: 'rancher.io/local-path' })] },
    expect: ['warn storage-class-no-usage/crate-local'],
  },
  {
    name: 'warns of volumes that cannot grow, and of local ones placed before their pods',
    given: {
      storageClasses: [
        premium,
        storageClass('crate-local', { provisioner: 'topolvm.io', allowVolumeExpansion: false, volumeBindingMode: 'Immediate' }),
      ],
    },
    expect: ['warn storage-class-fixed/crate-local', 'warn storage-class-immediate/crate-local'],
  },
  {
    name: 'warns without a default class',
    given: { storageClasses: [storageClass('crate-premium'), local] },
    expect: ['warn storage-class-default'],
  },
  {
    name: 'fails where the operator makes heap-dump volumes of a class that is not there, as its own chart has it',
    given: { operator: operator({ DEBUG_VOLUME_STORAGE_CLASS: 'default' }) },
    expect: ['fail heap-dump-class'],
  },
  { name: 'knows the class that the operator takes by itself', given: { operator: operator() }, expect: ['fail heap-dump-class'] },
  {
    name: 'tells the agent of that class too',
    given: { audience: 'agent', operator: operator() },
    expect: ['fail heap-dump-class'],
  },
  {
    name: 'takes an operator whose class is there',
    given: { operator: operator({ DEBUG_VOLUME_STORAGE_CLASS: 'crate-local' }) },
    expect: [],
  },
  {
    name: 'warns of two default classes',
    given: { storageClasses: [premium, { ...local, metadata: { ...premium.metadata, name: 'crate-local' } }] },
    expect: ['warn storage-class-default'],
  },

  {
    name: 'names all that the account may not, by what it may not do',
    given: {
      rights: ['create', 'delete'].map((verb) => ({ right: { verb, group: 'apps', resource: 'deployments' }, allowed: false })),
    },
    expect: ['fail permission/create+delete'],
  },

  {
    name: 'finds an operator without its definition, the fault of installing again',
    given: { deployments: [deployment('crate-operator', 'crate-operator')] },
    expect: ['fail definition-missing/cratedbs.cloud.crate.io'],
  },
  {
    name: 'finds no fault in an operator with its definition',
    given: { deployments: [deployment('crate-operator', 'crate-operator')], definitions: [definition('cratedbs.cloud.crate.io')] },
    expect: [],
  },
  {
    name: 'warns of an agent without the definition of deleted databases',
    given: {
      deployments: [deployment('skerry', 'skerry-agent')],
      definitions: ['projects', 'operations', 'registrations'].map((plural) => definition(`${plural}.skerry.dev`)),
    },
    expect: ['warn definition-missing/retaineddatabases.skerry.dev'],
  },
  {
    name: 'finds no fault in an agent with it',
    given: {
      deployments: [deployment('skerry', 'skerry-agent')],
      definitions: ['projects', 'retaineddatabases'].map((plural) => definition(`${plural}.skerry.dev`)),
    },
    expect: [],
  },
  {
    name: 'finds a definition that cannot go because of an object that nobody lets go',
    given: { definitions: [definition('cratedbs.cloud.crate.io', deleted)], instances: [hanging] },
    expect: ['fail definition-terminating/cratedbs.cloud.crate.io'],
  },
  {
    name: 'finds definitions of the same makers too',
    given: {
      definitions: ['challenges.acme.cert-manager.io', 'receivers.notification.toolkit.fluxcd.io'].map((name) => definition(name, deleted)),
    },
    expect: [
      'fail definition-terminating/challenges.acme.cert-manager.io',
      'fail definition-terminating/receivers.notification.toolkit.fluxcd.io',
    ],
  },
  { name: 'leaves definitions of others alone', given: { definitions: [definition('boats.example.org', deleted)] }, expect: [] },
  {
    name: 'finds databases that wait for an operator that is gone',
    given: { definitions: [definition('cratedbs.cloud.crate.io')], instances: [hanging] },
    expect: ['warn objects-hanging'],
  },
  {
    name: 'lets a running operator do its work',
    given: {
      definitions: [definition('cratedbs.cloud.crate.io')],
      instances: [hanging],
      deployments: [deployment('crate-operator', 'crate-operator')],
    },
    expect: [],
  },
  {
    name: 'fails on a namespace of the stack that is going, and warns of one of a project',
    given: { namespaces: [namespace('cert-manager', deleted), namespace('project-harbour', deleted), namespace('erp', deleted)] },
    expect: ['fail namespace-terminating/cert-manager', 'warn namespace-terminating/project-harbour'],
  },
  {
    name: 'finds a webhook that nobody answers',
    given: { webhooks: [strictWebhook] },
    expect: ['fail webhook-without-service/cert-manager-webhook'],
  },
  {
    name: 'finds it too where the namespace is left and nothing in it',
    given: { webhooks: [strictWebhook], namespaces: [namespace('cert-manager')] },
    expect: ['fail webhook-without-service/cert-manager-webhook'],
  },
  {
    name: 'takes a webhook whose program is there',
    given: {
      webhooks: [strictWebhook],
      namespaces: [namespace('cert-manager')],
      deployments: [deployment('cert-manager', 'cert-manager')],
      definitions: [definition('certificates.cert-manager.io')],
    },
    expect: [],
  },
  {
    name: 'takes a webhook that may fail',
    given: { webhooks: [{ ...strictWebhook, webhooks: [{ ...strictWebhook.webhooks[0], failurePolicy: 'Ignore' }] }] },
    expect: [],
  },
  {
    name: 'warns of an aggregated API that does not answer',
    given: {
      apiServices: [
        {
          apiVersion: 'apiregistration.k8s.io/v1',
          kind: 'APIService',
          metadata: { name: 'v1beta1.metrics.k8s.io' },
          status: { conditions: [{ type: 'Available', status: 'False', message: 'no endpoints' }] },
        },
      ],
    },
    expect: ['warn api-service-unavailable/v1beta1.metrics.k8s.io'],
  },

  { name: 'takes clocks that agree to the second', given: { now: noon + 1_400 }, expect: [] },
  { name: 'warns of a clock ten seconds ahead', given: { now: noon + 10_000 }, expect: ['warn clock'] },
  { name: 'fails on a clock two minutes behind', given: { now: noon - 120_000 }, expect: ['fail clock'] },
  { name: 'blames no clock for a slow answer', given: { now: noon + 10_000, roundTripMs: 15_000 }, expect: [] },
  { name: 'warns of a node whose clock is ahead', given: { serverDate: noon - 30_000, now: noon - 30_000 }, expect: ['warn clock-nodes'] },
  { name: 'takes nodes whose clocks agree to half a second', given: { nodeClocks: nodesAhead(-100, 0, 380) }, expect: [] },
  { name: 'warns of a node whose clock is a second behind', given: { nodeClocks: nodesAhead(0, -1_000, 0) }, expect: ['warn clock-nodes'] },
  {
    name: 'fails on a node whose clock is six seconds ahead',
    given: { nodeClocks: nodesAhead(0, 0, 6_000) },
    expect: ['fail clock-nodes'],
  },
  { name: 'compares nodes with each other, not with this machine', given: { nodeClocks: nodesAhead(9_000, 9_000, 9_100) }, expect: [] },
  { name: 'takes a cloud that is half a minute ahead', given: { cloudClock: { offsetMs: 30_000, uncertaintyMs: 50 } }, expect: [] },
  {
    name: 'warns of a clock that is a minute off, as the cloud tells the time',
    given: { cloudClock: { offsetMs: -60_000, uncertaintyMs: 50 } },
    expect: ['warn clock-cloud'],
  },
  {
    name: 'fails on a clock that is three hours off, as the cloud tells the time',
    given: { cloudClock: { offsetMs: 10_800_000, uncertaintyMs: 50 } },
    expect: ['fail clock-cloud'],
  },

  {
    name: 'fails when pods and Services share addresses',
    given: { serviceCidrs: ['10.244.1.0/24'] },
    expect: ['fail cidr-overlap/cluster'],
  },
  { name: 'fails when a node stands among the Services', given: { serviceCidrs: ['192.0.2.0/24'] }, expect: ['fail cidr-overlap/cluster'] },
  { name: 'warns when the site is hidden behind the pods', given: { siteCidrs: ['10.244.0.0/16'] }, expect: ['warn cidr-overlap/site'] },
  {
    name: 'cannot compare networks that it does not know',
    given: { nodes: three({}), serviceCidrs: undefined },
    expect: ['warn cidr-overlap'],
  },

  {
    name: 'concludes nothing from what could not be read, and says so',
    given: {
      nodes: undefined,
      pods: undefined,
      storageClasses: undefined,
      rights: undefined,
      namespaces: undefined,
      definitions: undefined,
      serverDate: undefined,
      unread: [{ what: 'nodes', path: '/api/v1/nodes', detail: 'forbidden' }],
    },
    expect: ['warn unread/nodes'],
  },
]
for (const { name, given, expect } of cases) test(`preflight ${name}`, () => assert.deepEqual(trouble(given), expect))

test('everything that is not ok says why it matters and what to do, and nothing that is ok does', () => {
  for (const { given } of cases) assertExplained(findings(given))
})

test('what to do about an object that hangs is a command for that very object', () => {
  const given = { definitions: [definition('cratedbs.cloud.crate.io', deleted)], instances: [hanging] }
  const [found] = findings(given).filter(({ level }) => level === 'fail')
  assert.match(found?.action ?? '', /kubectl -n project-harbour patch cratedbs\.cloud\.crate\.io tide --type=merge/)
})

test('a missing class is to be made from one of its own nature', () => {
  const folder = storageClass('folder', { provisioner: 'rancher.io/local-path' })
  const made = findings({ storageClasses: [premium, folder] }).find(({ id }) => id === 'storage-class-missing/crate-local')
  assert.match(made?.action ?? '', /--print-storage-classes folder/)
})

test('deleted databases of an earlier installation are named, and are no fault', () => {
  const record = {
    apiVersion: 'skerry.dev/v1',
    kind: 'RetainedDatabase',
    metadata: { name: 'tide.1' },
    spec: { project: 'harbour', database: 'tide' },
  }
  const said = (given: Partial<Evidence>) => findings({ instances: [record], ...given }).find(({ id }) => id === 'deleted-databases')
  assert.equal(said({})?.what, 'deleted databases of an earlier installation can be had back: harbour/tide')
  assert.equal(said({})?.level, 'ok')
  assert.equal(said({ audience: 'agent' }), undefined)
})

test('whether the operator takes backups is said, and is no fault: databases can have those of Skerry', () => {
  const said = (env: Record<string, string>) => findings({ operator: operator(env) }).find(({ id }) => id === 'backup-image')
  assert.match(said({})?.what ?? '', /takes no backups, since it has no CRATEDB_OPERATOR_CLUSTER_BACKUP_IMAGE: .* "snapshots"/)
  assert.match(said({ CLUSTER_BACKUP_IMAGE: 'site.example/backup:1' })?.what ?? '', /takes the backups/)
  assert.equal(said({})?.level, 'ok')
})

test('a class of heap-dump volumes that is missing is replaced by one that is there, at that very Deployment', () => {
  const named = { ...operator({ DEBUG_VOLUME_STORAGE_CLASS: 'default' }), metadata: { namespace: 'operators', name: 'crate' } }
  const [found] = findings({ operator: named }).filter(({ id }) => id === 'heap-dump-class')
  assert.match(
    found?.action ?? '',
    /: kubectl -n operators set env deployment\/crate CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS=crate-premium$/,
  )
})

test('a program of several Deployments is restarted in all that run', () => {
  const deployments = ['source-controller', 'helm-controller'].map((name) => deployment('flux-system', name))
  const [found] = findings({ deployments }).filter(({ id }) => id.startsWith('definition-missing'))
  assert.match(found?.action ?? '', /kubectl -n flux-system rollout restart deployment source-controller helm-controller$/)
})
