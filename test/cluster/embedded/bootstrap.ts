import { standIn } from './controllers.ts'
import type { Core } from './core.ts'
import type { Json } from './object.ts'
import { createObject } from './writes.ts'

const reading = ['get', 'list', 'watch']
const writing = ['create', 'delete', 'deletecollection', 'patch', 'update']
const rbacGroup = 'rbac.authorization.k8s.io'

const namespaced: Record<string, string[]> = {
  '': [
    'configmaps',
    'endpoints',
    'events',
    'persistentvolumeclaims',
    'pods',
    'serviceaccounts',
    'services',
    'limitranges',
    'resourcequotas',
  ],
  apps: ['controllerrevisions', 'daemonsets', 'deployments', 'replicasets', 'statefulsets'],
  batch: ['cronjobs', 'jobs'],
  'networking.k8s.io': ['ingresses', 'networkpolicies'],
  policy: ['poddisruptionbudgets'],
}

const rulesOn = (verbs: string[]): Json[] =>
  Object.entries(namespaced).map(([apiGroup, resources]) => ({ verbs, apiGroups: [apiGroup], resources }))
const secrets = (verbs: string[]): Json => ({ verbs, apiGroups: [''], resources: ['secrets'] })
const roles = (verbs: string[]): Json => ({ verbs, apiGroups: [rbacGroup], resources: ['roles', 'rolebindings'] })

const everything = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
]
const health = ['/healthz', '/livez', '/readyz', '/version', '/version/']
const discovery = [...health, '/api', '/api/*', '/apis', '/apis/*', '/openapi', '/openapi/*']
const selfReviews = [
  { verbs: ['create'], apiGroups: ['authorization.k8s.io'], resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'] },
  { verbs: ['create'], apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
]

const clusterRoles: Record<string, Json[]> = {
  'cluster-admin': everything,
  admin: [...rulesOn([...reading, ...writing]), secrets([...reading, ...writing]), roles([...reading, ...writing])],
  edit: [...rulesOn([...reading, ...writing]), secrets([...reading, ...writing])],
  view: rulesOn(reading),
  'system:discovery': [{ verbs: ['get'], nonResourceURLs: discovery }],
  'system:basic-user': selfReviews,
  'system:public-info-viewer': [{ verbs: ['get'], nonResourceURLs: health }],
}

const bindings: [role: string, groups: string[]][] = [
  ['cluster-admin', ['system:masters']],
  ['system:discovery', ['system:authenticated']],
  ['system:basic-user', ['system:authenticated']],
  ['system:public-info-viewer', ['system:authenticated', 'system:unauthenticated']],
]

/** Creates the objects that every cluster starts with: the system namespaces and the default roles. */
export function furnishCluster(core: Core): void {
  const make = (group: string, plural: string, document: Json): void => {
    const type = core.registry.find(group, 'v1', plural)
    if (type) createObject(core, type, undefined, document, standIn('kube-apiserver'))
  }
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) make('', 'namespaces', { metadata: { name } })
  for (const [name, rules] of Object.entries(clusterRoles)) make(rbacGroup, 'clusterroles', { metadata: { name }, rules })
  for (const [name, groups] of bindings) {
    const subjects = groups.map((group) => ({ kind: 'Group', apiGroup: rbacGroup, name: group }))
    const roleRef = { apiGroup: rbacGroup, kind: 'ClusterRole', name }
    make(rbacGroup, 'clusterrolebindings', { metadata: { name }, roleRef, subjects })
  }
}
