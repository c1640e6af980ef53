import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type Kind, type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { startEmbeddedCluster, startStandIns } from '../cluster/index.ts'
import type { Client } from '../region/client.ts'
import { bundled, withRegion } from './clusters.ts'
import type { Bench } from './measurement.ts'

/** The project that all databases of the measurements are in. */
export const project = 'harbour'
const namespace = `project-${project}`
const original = 'tidal-gauge'

/** The body of a typical request for a database. @param id in the path and in the body */
export function databaseBody(id: string) {
  return {
    id,
    version: '5.10.1',
    nodes: { count: 3, cpu: '500m', memory: '2Gi', disk: { size: '16Gi', storageClass: 'crate-premium' } },
    users: [{ name: 'harbourmaster', generate: true }],
    allowedCIDRs: ['10.20.0.0/16'],
  }
}

/** The objects of one running database and its project, as the agent and the stand-ins create them. */
export type Original = { project: KubernetesObject; namespace: KubernetesObject; database: KubernetesObject; around: KubernetesObject[] }

/** Creates one database through the API, with nodes, volumes and a Crate Operator, and copies its objects. */
export async function makeOriginal({ tell, bundle }: Bench): Promise<Original> {
  const cluster = await startEmbeddedCluster()
  tell('making one database to copy')
  let standIns: Awaited<ReturnType<typeof startStandIns>> | undefined
  const prepare = async () => {
    standIns = await startStandIns(cluster, { operator: { stepMs: 5 } })
  }
  const done = async () => standIns?.stop()
  return withRegion(cluster, { prepare, ...bundled({ bundle }) }, async ({ region, client }) => {
    try {
      await put(client, `/v1/projects/${project}`, { quota: { databases: 1_000 } })
      await put(client, `/v1/projects/${project}/databases/${original}`, databaseBody(original))
      // The operator writes the health at its first look at the new database.
      await until(async () => {
        const { body } = await client.call('GET', `/v1/projects/${project}/databases/${original}`)
        return body.status.health.value === 'GREEN' && body.status.phase === 'Running'
      })
      const list = async (kind: Kind) => {
        const { items } = await region.admin.request<{ items: KubernetesObject[] }>({ method: 'GET', path: pathOf(kind, namespace) })
        return items.map((item) => ({ ...item, apiVersion: kind.apiVersion, kind: kind.kind }))
      }
      const [database] = await list(kinds.CrateDB)
      if (!database) throw new Error('the database is gone')
      const claims = await list(kinds.PersistentVolumeClaim)
      const volumes = (await list(kinds.PersistentVolume)).filter(({ spec }: KubernetesObject) => spec.claimRef?.namespace === namespace)
      const around = [...(await list(kinds.StatefulSet)), ...(await list(kinds.Pod)), ...(await list(kinds.Service))]
      around.push(...namedForClaims(claims, volumes))
      const get = (kind: Kind, name: string) =>
        region.admin.request<KubernetesObject>({ method: 'GET', path: pathOf(kind, undefined, name) })
      return { project: await get(kinds.Project, project), namespace: await get(kinds.Namespace, namespace), database, around }
    } finally {
      await done()
    }
  })
}

/** Asks for it, and waits until it is so. @throws Error with the answer if it is not */
export async function put(client: Client, path: string, body: object): Promise<void> {
  const { status, text } = await client.call('PUT', path, { body, headers: { prefer: 'wait=30' } })
  if (status !== 200) throw new Error(`PUT ${path}: ${status} ${text}`)
}

/** Claims and their volumes, renamed to contain the name of the database, so that each copy has its own. */
function namedForClaims(claims: KubernetesObject[], volumes: KubernetesObject[]): KubernetesObject[] {
  const rename = (text: string, { metadata, spec }: KubernetesObject) => text.replaceAll(metadata.name, `volume-${spec.claimRef.name}`)
  return JSON.parse(volumes.reduce(rename, JSON.stringify([...claims, ...volumes])))
}

/** Creates the project and its namespace. The agent finds nothing to correct in them. */
export async function createProject(admin: Cluster, original: Original): Promise<void> {
  await create(admin, fresh(original.namespace))
  await create(admin, fresh(original.project))
}

/** Creates copies of a database under other names, alone or with its StatefulSets, pods, Services, claims and volumes. */
export async function createDatabases(
  admin: Cluster,
  { database, around }: Original,
  { count, alone = false }: { count: number; alone?: boolean },
): Promise<void> {
  const objects = (alone ? [database] : [database, ...around]).map((object) => JSON.stringify(fresh(object)))
  let next = 0
  const lane = async () => {
    while (next < count) {
      const name = databaseName(next++)
      for (const object of objects) await create(admin, JSON.parse(object.replaceAll(original, name)))
    }
  }
  await Promise.all(Array.from({ length: 8 }, lane))
}

export function databaseName(index: number): string {
  return `tidal-gauge-${String(index).padStart(4, '0')}`
}

/** An object without the fields that an API server sets, and without owners: with the old ones the garbage collector would delete it. */
function fresh({ metadata, ...rest }: KubernetesObject): KubernetesObject {
  const { uid, resourceVersion, creationTimestamp, generation, ownerReferences, finalizers, ...kept } = metadata
  delete (kept as { managedFields?: unknown }).managedFields
  if (rest.kind === 'Service') {
    delete rest.spec.clusterIP
    delete rest.spec.clusterIPs
  }
  return { ...rest, metadata: kept } as KubernetesObject
}

/** Creates an object, and its status if that is a subresource. */
async function create(admin: Cluster, object: KubernetesObject): Promise<void> {
  const kind = Object.values(kinds).find((each) => each.kind === object.kind) as Kind
  const { name, namespace } = object.metadata
  await admin.request({ method: 'POST', path: pathOf(kind, namespace), body: object })
  if (object.status === undefined || object.kind === 'CrateDB') return
  await admin.request({
    method: 'PATCH',
    path: `${pathOf(kind, namespace, name)}/status`,
    contentType: 'application/merge-patch+json',
    body: { status: object.status },
  })
}

export async function until(holds: () => Promise<boolean>, withinMs = 30_000): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not so within ${withinMs} ms: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
