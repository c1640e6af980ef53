import { alter } from './controllers.ts'
import type { Attempt, Core } from './core.ts'
import { equal, type KubeObject } from './object.ts'
import { formatQuantity, parseQuantity } from './quantity.ts'
import { forbidden } from './status.ts'
import { type Usage, unspecified, usageOf } from './usage.ts'
import type { WorkQueue } from './work-queue.ts'

const quotaBucket = '/resourcequotas'

/** The usage of each namespace, updated with each write instead of counted again. */
class UsageLedger {
  readonly #namespaces = new Map<string, Usage>()

  of(namespace: string): Usage {
    let usage = this.#namespaces.get(namespace)
    if (!usage) {
      usage = new Map()
      this.#namespaces.set(namespace, usage)
    }
    return usage
  }

  /** Adds a change; returns whether it changed the usage. */
  move(resource: string, namespace: string, before: KubeObject | undefined, after: KubeObject | undefined): boolean {
    const delta = difference(before && usageOf(resource, before), after && usageOf(resource, after))
    const usage = this.of(namespace)
    for (const [name, amount] of delta) usage.set(name, (usage.get(name) ?? 0) + amount)
    return delta.size > 0
  }
}

function difference(before: Usage | undefined, after: Usage | undefined): Usage {
  const delta: Usage = new Map()
  for (const name of new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])])) {
    const amount = (after?.get(name) ?? 0) - (before?.get(name) ?? 0)
    if (amount !== 0) delta.set(name, amount)
  }
  return delta
}

/**
 * Stand-in for the quota admission and kube-controller-manager's quota controller: a ResourceQuota is in effect once its
 * status says so, refuses objects that exceed it, and shows the usage. Scopes are not evaluated.
 */
export function runQuotas(core: Core, queue: WorkQueue): void {
  const ledger = new UsageLedger()
  const showLater = (namespace: string): void => queue.add(`quotas ${namespace}`, () => show(core, ledger, namespace))
  core.store.listeners.push(({ bucket, type, entry, previous }) => {
    const { namespace } = entry.object.metadata
    if (namespace === undefined) return
    const moved = ledger.move(bucket.resource, namespace, previous?.object, type === 'DELETED' ? undefined : entry.object)
    const limited = core.store.bucket(quotaBucket).has(namespace)
    if (limited && (moved || bucket.resource === quotaBucket)) showLater(namespace)
  })
  core.validating.push((attempt) => checkQuotas(core, ledger, attempt))
}

function show(core: Core, ledger: UsageLedger, namespace: string): void {
  for (const { metadata } of core.lookup.list(quotaBucket, namespace)) {
    alter(core, quotaBucket, namespace, metadata.name, (quota) => {
      const hard: Record<string, string> = quota.spec?.hard ?? {}
      const used: Record<string, string> = {}
      for (const [name, limit] of Object.entries(hard)) used[name] = formatQuantity(ledger.of(namespace).get(name) ?? 0, String(limit))
      if (!equal(quota.status, { hard, used })) quota.status = { hard, used }
    })
  }
}

function checkQuotas(core: Core, ledger: UsageLedger, { operation, type, namespace, object, old, subresource }: Attempt): void {
  if (operation === 'delete' || namespace === undefined || !object || subresource) return
  if (!core.store.bucket(quotaBucket).has(namespace)) return
  const delta = difference(old && usageOf(type.bucket, old), usageOf(type.bucket, object))
  const used = ledger.of(namespace)
  for (const quota of core.lookup.list(quotaBucket, namespace)) {
    const hard: Record<string, string> = quota.status?.hard ?? {}
    const missing = type.bucket === '/pods' && !old ? unspecified(object, Object.keys(hard)) : []
    const { name } = object.metadata
    if (missing.length > 0) throw forbidden(type, name, `failed quota: ${quota.metadata.name}: must specify ${missing.sort().join(',')}`)
    const exceeded = Object.keys(hard)
      .filter((each) => (delta.get(each) ?? 0) > 0 && (used.get(each) ?? 0) + (delta.get(each) ?? 0) > (parseQuantity(hard[each]) ?? 0))
      .sort()
    if (exceeded.length === 0) continue
    const list = (amounts: Usage): string =>
      exceeded.map((each) => `${each}=${formatQuantity(amounts.get(each) ?? 0, String(hard[each]))}`).join(',')
    const limited = exceeded.map((each) => `${each}=${hard[each]}`).join(',')
    throw forbidden(
      type,
      name,
      `exceeded quota: ${quota.metadata.name}, requested: ${list(delta)}, used: ${list(used)}, limited: ${limited}`,
    )
  }
}
