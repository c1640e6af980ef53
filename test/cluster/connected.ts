import { readFile } from 'node:fs/promises'
import { parseAllDocuments } from 'yaml'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { isProblem } from '../../shared/errors.ts'
import { type Cluster, clusterAt } from '../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import type { TestCluster } from './index.ts'

/**
 * A connection with the rights of a token's bearer, the administrator when left out. Close it when done. (It takes no kubeconfig: what
 * reads one takes half a second of CPU time to load, in each test file anew.)
 */
export function connectTo({ url, ca, adminToken }: TestCluster, token = adminToken, clock: Clock = systemClock): Cluster {
  const options = { ca, headers: { authorization: `Bearer ${token}` } }
  return clusterAt({ server: new URL(url), options: async () => options }, { clock })
}

/** Where the API server serves the kinds of an installation; the programs themselves touch none of them. */
const plurals: Record<string, string> = {
  CustomResourceDefinition: 'customresourcedefinitions',
  ClusterRole: 'clusterroles',
  ClusterRoleBinding: 'clusterrolebindings',
  Role: 'roles',
  RoleBinding: 'rolebindings',
  ServiceAccount: 'serviceaccounts',
  Namespace: 'namespaces',
}

/**
 * Applies every document of the files. Waits until the API server serves the kinds that they define, and authorises by what they bind: of
 * both it knows by watches of its own, and so a moment later.
 */
export async function install(admin: Cluster, files: string[]): Promise<void> {
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')))
  const objects = texts.flatMap((text) => parseAllDocuments(text)).map((document) => document.toJS() as KubernetesObject)
  const defined: Promise<void>[] = []
  for (const object of objects) {
    await installObject(admin, object)
    if (object.kind === 'CustomResourceDefinition') defined.push(whenServed(admin, object))
  }
  await Promise.all([...defined, ...objects.map((object) => whenInForce(admin, object, objects))])
}

/** Applies one object of an installation. */
export async function installObject(admin: Cluster, object: KubernetesObject): Promise<void> {
  const { apiVersion, kind, metadata } = object
  const plural = plurals[kind]
  if (plural === undefined) throw new TypeError(`${kind} is not a kind of an installation`)
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const scope = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`
  await admin.request({
    method: 'PATCH',
    path: `${group}${scope}/${plural}/${metadata.name}`,
    query: { fieldManager: 'skerry-install', force: true },
    contentType: 'application/apply-patch+yaml',
    body: object,
  })
}

/** Resolves once it holds; asks again every 50 ms for half a minute. @throws what it threw the last time */
async function once(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const deadline = performance.now() + 30_000; ; await systemClock.sleep(50)) {
    const error = await holds().then(
      (is) => (is ? undefined : new Error(`not so yet: ${what}`)),
      (reason: unknown) => reason,
    )
    if (error === undefined) return
    if (performance.now() > deadline) throw error
  }
}

/** It may be listed before anything can be created: up to Kubernetes 1.22 a creation fails with a 500 until the names are established. */
async function whenServed(admin: Cluster, { metadata, spec }: KubernetesObject): Promise<void> {
  const path = `/apis/${spec.group}/${spec.versions[0].name}`
  const place = spec.scope === 'Namespaced' ? `${path}/namespaces/default/${spec.names.plural}` : `${path}/${spec.names.plural}`
  await once(async () => {
    await admin.request({ method: 'GET', path: `${path}/${spec.names.plural}`, query: { limit: 1 } })
    return true
  }, `${metadata.name} is served`)
  const tryOut = { method: 'POST', path: place, query: { dryRun: 'All' }, body: {} } as const
  await once(() => admin.request(tryOut).catch((error) => isProblem(error, 'rejected-by-cluster')), `${metadata.name} can be created`)
}

type Rule = { apiGroups: string[]; resources: string[]; resourceNames?: string[]; verbs: string[] }

/** When a binding is in force: each of its accounts may do the last thing that its role, if that is among the objects, allows. */
async function whenInForce(
  admin: Cluster,
  { kind, metadata, roleRef, subjects }: KubernetesObject,
  objects: KubernetesObject[],
): Promise<void> {
  if (kind !== 'ClusterRoleBinding' && kind !== 'RoleBinding') return
  const rules: Rule[] = objects.find((object) => object.kind === roleRef.kind && object.metadata.name === roleRef.name)?.rules ?? []
  const rule = rules.at(-1)
  if (rule === undefined) return
  const [resource = '', subresource] = rule.resources.at(-1)?.split('/') ?? []
  const resourceAttributes = {
    ...{ verb: rule.verbs.at(-1), group: rule.apiGroups.at(-1), resource, subresource, name: rule.resourceNames?.at(-1) },
    ...(kind === 'RoleBinding' && { namespace: metadata.namespace }),
  }
  for (const account of subjects as { kind: string; namespace: string; name: string }[]) {
    if (account.kind !== 'ServiceAccount') continue
    const groups = ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`, 'system:authenticated']
    const spec = { user: `system:serviceaccount:${account.namespace}:${account.name}`, groups, resourceAttributes }
    const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec }
    const review = { method: 'POST', path: '/apis/authorization.k8s.io/v1/subjectaccessreviews', body } as const
    await once(async () => (await admin.request<KubernetesObject>(review)).status?.allowed === true, `${kind} ${metadata.name} is in force`)
  }
}
