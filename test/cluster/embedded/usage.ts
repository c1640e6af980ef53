import type { Json, KubeObject } from './object.ts'
import { parseQuantity } from './quantity.ts'

/** Amounts by their names in a ResourceQuota. */
export type Usage = Map<string, number>

/** Core kinds that a quota can count without `count/`. */
const countable = ['pods', 'services', 'secrets', 'configmaps', 'persistentvolumeclaims', 'resourcequotas']

const computed = ['cpu', 'memory', 'ephemeral-storage']

function add(usage: Usage, name: string, amount: number | undefined): void {
  if (amount) usage.set(name, (usage.get(name) ?? 0) + amount)
}

const ended = (pod: KubeObject): boolean => ['Succeeded', 'Failed'].includes(pod.status?.phase)

/** A pod's request for a resource: that of its containers together, or of its largest init container if that is more. */
function podSum(pod: KubeObject, field: 'requests' | 'limits', resource: string): number {
  const amounts = (containers: Json[] | undefined): number[] =>
    (containers ?? []).map((container) => parseQuantity(container.resources?.[field]?.[resource]) ?? 0)
  const together = amounts(pod.spec?.containers).reduce((sum, amount) => sum + amount, 0)
  return Math.max(together, ...amounts(pod.spec?.initContainers))
}

/** The usage of one object in the quotas of its namespace; `resource` is `group/plural`. */
export function usageOf(resource: string, object: KubeObject): Usage {
  const usage: Usage = new Map()
  const [group = '', plural = ''] = resource.split('/')
  if (resource !== '/pods' || !ended(object)) add(usage, group ? `count/${plural}.${group}` : `count/${plural}`, 1)
  if (group) return usage
  if (countable.includes(plural) && !(plural === 'pods' && ended(object))) add(usage, plural, 1)
  if (plural === 'services') {
    if (object.spec?.type === 'LoadBalancer') add(usage, 'services.loadbalancers', 1)
    if (['NodePort', 'LoadBalancer'].includes(object.spec?.type)) add(usage, 'services.nodeports', object.spec?.ports?.length)
  }
  if (plural === 'persistentvolumeclaims') {
    const storage = parseQuantity(object.spec?.resources?.requests?.storage)
    add(usage, 'requests.storage', storage)
    const storageClass = object.spec?.storageClassName
    if (storageClass) {
      add(usage, `${storageClass}.storageclass.storage.k8s.io/requests.storage`, storage)
      add(usage, `${storageClass}.storageclass.storage.k8s.io/persistentvolumeclaims`, 1)
    }
  }
  if (plural === 'pods' && !ended(object)) {
    for (const each of computed) {
      const requested = podSum(object, 'requests', each)
      add(usage, each, requested)
      add(usage, `requests.${each}`, requested)
      add(usage, `limits.${each}`, podSum(object, 'limits', each))
    }
  }
  return usage
}

/** The limited resources that every container of a pod must specify and at least one does not. */
export function unspecified(pod: KubeObject, limited: string[]): string[] {
  const containers: Json[] = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]
  return limited.filter((name) => {
    const [field, resource] = name.includes('.') ? name.split('.') : ['requests', name]
    if (!computed.includes(resource ?? '') || (field !== 'requests' && field !== 'limits')) return false
    return containers.some((container) => container.resources?.[field]?.[resource ?? ''] === undefined)
  })
}
