import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'

/*
 * In the scheduler's place. Which of several pods gets the host that is free is chance on a real control plane, and only the last nodes of a
 * database can be done without.
 */

const hosts = ['node-1', 'node-2', 'node-3', 'node-4']
const pods = pathOf(kinds.Pod, 'project-harbour')

async function cordon(admin: Cluster, names: string[], unschedulable: boolean): Promise<void> {
  for (const name of names) {
    const [path, contentType] = [pathOf(kinds.Node, undefined, name), 'application/merge-patch+json']
    await admin.request({ method: 'PATCH', path, contentType, body: { spec: { unschedulable } } })
  }
}

async function bind(admin: Cluster, name: string, host: string): Promise<void> {
  const read = (kind: 'Pod' | 'PersistentVolumeClaim', of: string): Promise<KubernetesObject | undefined> =>
    admin.request({ method: 'GET', path: pathOf(kinds[kind], 'project-harbour', of) }).catch(() => undefined)
  await until(`${name} has its volume`, async () => (await read('PersistentVolumeClaim', `data0-${name}`))?.status?.phase === 'Bound')
  await until(`there is ${name}`, () => read('Pod', name))
  const target = { apiVersion: 'v1', kind: 'Node', name: host }
  const body = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target }
  await admin.request({ method: 'POST', path: `${pods}/${name}/binding`, body })
  // The scheduler and the kubelet follow pods by the same watch. Until then the host counts as free, and might get another pod.
  await until(`the kubelet knows ${name}`, async () => (await read('Pod', name))?.status?.hostIP)
}

/** No pod gets a host, until the function that is returned gives one to each of the first three of a StatefulSet in `project-harbour`. */
export async function takeSchedulersPlace(admin: Cluster): Promise<(set: string) => Promise<void>> {
  const three = hosts.slice(0, 3)
  await cordon(admin, three, true)
  return async (set) => {
    for (const [index, host] of three.entries()) await bind(admin, `${set}-${index}`, host)
    await cordon(admin, three, false)
  }
}

/** Keeps the one of four hosts that has no pod of a StatefulSet of three. */
export async function keepFourthHost(admin: Cluster, set: string) {
  const { items } = await admin.request({ method: 'GET', path: pods })
  const taken = items
    .filter(({ metadata }: KubernetesObject) => metadata.name.startsWith(set))
    .map(({ spec }: KubernetesObject) => spec.nodeName)
  const free = hosts.find((host) => !taken.includes(host)) as string
  await cordon(admin, [free], true)
  return { give: (pod: string) => bind(admin, pod, free), release: () => cordon(admin, [free], false) }
}
