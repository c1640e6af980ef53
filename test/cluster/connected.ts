import { readFile } from 'node:fs/promises'
import { parseAllDocuments } from 'yaml'
import { type Clock, systemClock } from '../../shared/clock.ts'
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

/** Applies every document of the files, and waits until the API server serves the kinds that they define. */
export async function install(admin: Cluster, files: string[]): Promise<void> {
  for (const file of files)
    for (const document of parseAllDocuments(await readFile(file, 'utf8'))) {
      const object = document.toJS() as KubernetesObject
      await installObject(admin, object)
      if (object.kind === 'CustomResourceDefinition') await whenServed(admin, object)
    }
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

async function whenServed(admin: Cluster, { spec }: KubernetesObject): Promise<void> {
  const path = `/apis/${spec.group}/${spec.versions[0].name}/${spec.names.plural}`
  for (let attempt = 0; ; attempt++) {
    try {
      await admin.request({ method: 'GET', path, query: { limit: 1 } })
      return
    } catch (error) {
      if (attempt === 100) throw error
      await systemClock.sleep(50)
    }
  }
}
