import type { Attempt, Core } from './core.ts'
import type { Json, KubeObject } from './object.ts'
import { parseQuantity } from './quantity.ts'
import { forbidden } from './status.ts'

const bucket = '/limitranges'

const itemsOf = (core: Core, namespace: string, type: string): Json[] =>
  core.lookup.list(bucket, namespace).flatMap((range) => (range.spec?.limits ?? []).filter((item: Json) => item.type === type))

/** The LimitRanger admission: sets the resources that containers omit (from `Container` defaults) and refuses values out of bounds. */
export function limitRangeAdmission(core: Core): (attempt: Attempt) => void {
  return ({ operation, type, namespace, object }) => {
    if (operation !== 'create' || namespace === undefined || !object || !core.store.bucket(bucket).has(namespace)) return
    const faults =
      type.bucket === '/pods'
        ? limitPod(core, namespace, object)
        : type.bucket === '/persistentvolumeclaims'
          ? limitClaim(core, namespace, object)
          : []
    if (faults.length === 0) return
    throw forbidden(type, object.metadata.name, faults.length === 1 ? (faults[0] ?? '') : `[${faults.join(', ')}]`)
  }
}

function limitPod(core: Core, namespace: string, pod: KubeObject): string[] {
  const items = itemsOf(core, namespace, 'Container')
  const containers: Json[] = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]
  return containers.flatMap((container) => {
    const resources = { ...container.resources }
    // a limit without a request is also the request, before the range's own defaults
    resources.requests = { ...resources.limits, ...resources.requests }
    resources.limits = { ...resources.limits }
    for (const item of items) {
      resources.requests = { ...item.defaultRequest, ...resources.requests }
      resources.limits = { ...item.default, ...resources.limits }
    }
    container.resources = resources
    return items.flatMap((item) => bounds(item, 'Container', resources.requests, resources.limits))
  })
}

function limitClaim(core: Core, namespace: string, claim: KubeObject): string[] {
  const requests = claim.spec?.resources?.requests ?? {}
  return itemsOf(core, namespace, 'PersistentVolumeClaim').flatMap((item) => [
    ...tooLittle(item.min, 'PersistentVolumeClaim', requests),
    ...tooMuch(item.max, 'PersistentVolumeClaim', requests, 'request'),
  ])
}

const bounds = (item: Json, type: string, requests: Json, limits: Json): string[] => [
  ...tooLittle(item.min, type, requests),
  ...tooMuch(item.max, type, limits, 'limit'),
]

function tooLittle(min: Json, type: string, requests: Json): string[] {
  return Object.entries(min ?? {}).flatMap(([resource, bound]) => {
    const start = `minimum ${resource} usage per ${type} is ${bound}`
    if (requests[resource] === undefined) return [`${start}. No request is specified`]
    return (parseQuantity(requests[resource]) ?? 0) < (parseQuantity(bound) ?? 0) ? [`${start}, but request is ${requests[resource]}`] : []
  })
}

function tooMuch(max: Json, type: string, amounts: Json, what: string): string[] {
  return Object.entries(max ?? {}).flatMap(([resource, bound]) => {
    const start = `maximum ${resource} usage per ${type} is ${bound}`
    if (amounts[resource] === undefined) return [`${start}. No ${what} is specified`]
    return (parseQuantity(amounts[resource]) ?? 0) > (parseQuantity(bound) ?? 0) ? [`${start}, but ${what} is ${amounts[resource]}`] : []
  })
}

/** Sets a range's own defaults: limits from the maximum, requests from the limits, then from the minimum. */
export function completeLimitRange(range: KubeObject): void {
  for (const item of range.spec?.limits ?? []) {
    if (item.type !== 'Container') continue
    item.default = { ...item.max, ...item.default }
    item.defaultRequest = { ...item.min, ...item.default, ...item.defaultRequest }
  }
}
