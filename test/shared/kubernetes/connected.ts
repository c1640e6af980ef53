import { readFile } from 'node:fs/promises'
import { parseAllDocuments } from 'yaml'
import { type Clock, systemClock } from '../../../shared/clock.ts'
import { isProblem } from '../../../shared/errors.ts'
import { type Cluster, clusterAt } from '../../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { TestCluster } from '../../cluster/index.ts'

/**
 * The programs' own connection to a test cluster, with the rights of a token's bearer, the administrator when left out. Close it when
 * done. (It reads no kubeconfig, because the library for that takes half a second of CPU time to load.)
 */
export function connectTo({ url, ca, adminToken }: TestCluster, token = adminToken, clock: Clock = systemClock): Cluster {
  const options = { ca, headers: { authorization: `Bearer ${token}` } }
  return clusterAt({ server: new URL(url), options: async () => options }, { clock })
}

/** The plurals of the kinds that an installation consists of. */
const plurals: Record<string, string> = {
  CustomResourceDefinition: 'customresourcedefinitions',
  ClusterRole: 'clusterroles',
  ClusterRoleBinding: 'clusterrolebindings',
  Role: 'roles',
  RoleBinding: 'rolebindings',
  ServiceAccount: 'serviceaccounts',
  Namespace: 'namespaces',
  ValidatingAdmissionPolicy: 'validatingadmissionpolicies',
  ValidatingAdmissionPolicyBinding: 'validatingadmissionpolicybindings',
}

/**
 * Applies every document of the files. Waits until the API server serves the CRDs among them and authorizes by the bindings: it learns of
 * both through watches of its own, a moment later.
 */
export async function install(admin: Cluster, files: string[]): Promise<void> {
  const objects = (await Promise.all(files.map(objectsIn))).flat()
  const defined: Promise<void>[] = []
  for (const object of objects) {
    await installObject(admin, object)
    if (object.kind === 'CustomResourceDefinition') defined.push(whenServed(admin, object))
  }
  await Promise.all([...defined, ...objects.map((object) => whenInEffect(admin, object, objects))])
}

const parsed = new Map<string, KubernetesObject[]>()

/** The objects of a file, parsed once in a process. */
async function objectsIn(file: string): Promise<KubernetesObject[]> {
  const text = await readFile(file, 'utf8')
  const known = parsed.get(text) ?? parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject)
  parsed.set(text, known)
  return known
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

/** Calls `holds` every 50 ms until it is true, for half a minute. @throws what it threw last */
async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 30_000; ; await systemClock.sleep(50)) {
    const error = await holds().then(
      (is) => (is ? undefined : new Error(`not within 30 s: ${what}`)),
      (reason: unknown) => reason,
    )
    if (error === undefined) return
    if (performance.now() > deadline) throw error
  }
}

/** Up to Kubernetes 1.22 a kind can be listed before it can be created: a creation fails with a 500 until the names are established. */
async function whenServed(admin: Cluster, { metadata, spec }: KubernetesObject): Promise<void> {
  const path = `/apis/${spec.group}/${spec.versions[0].name}`
  const place = spec.scope === 'Namespaced' ? `${path}/namespaces/default/${spec.names.plural}` : `${path}/${spec.names.plural}`
  await eventually(`${metadata.name} is served`, async () => {
    await admin.request({ method: 'GET', path: `${path}/${spec.names.plural}`, query: { limit: 1 } })
    return true
  })
  const tryOut = { method: 'POST', path: place, query: { dryRun: 'All' }, body: {} } as const
  await eventually(`${metadata.name} can be created`, () => admin.request(tryOut).catch((error) => isProblem(error, 'rejected-by-cluster')))
}

type Rule = { apiGroups: string[]; resources: string[]; resourceNames?: string[]; verbs: string[] }

/** Resolves once a binding is in effect: each of its accounts may do the last thing that the role, if it is among the objects, allows. */
export async function whenInEffect(
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
    await eventually(
      `${kind} ${metadata.name} is in effect`,
      async () => (await admin.request<KubernetesObject>(review)).status?.allowed === true,
    )
  }
}
