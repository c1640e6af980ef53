import type { Diff } from './diff.ts'
import { Refusal } from './handling.ts'
import type { Operator } from './operator.ts'

/** The kind of an update. The last kind of change found names the whole update. */
export type OperationType = 'upgrade' | 'scale' | 'suspend' | 'resume' | 'change_compute' | 'change_exposure' | 'unknown'

/** The operator's plan for a difference: the chains that it runs, and those that it skips. */
export type Plan = {
  operation: OperationType
  before: boolean
  after: boolean
  upgrade: boolean
  compute: boolean
  scale: boolean
  disk: boolean
  exposure: boolean
  /** The change does not concern the operator, which only records it as handled. */
  nothing: boolean
}

/** Reads a difference as the operator does: master fields one by one, data groups by position, and only the first change in each. */
export function planOf(diff: Diff, operator: Operator): Plan {
  const plan: Plan = {
    operation: 'unknown',
    before: true,
    after: true,
    upgrade: false,
    compute: false,
    scale: false,
    disk: false,
    exposure: false,
    nothing: true,
  }
  const { resuming, suspending } = directionOf(diff)
  for (const { path, old, new: next } of diff) {
    const at = path.join('.')
    if (at === 'spec.cluster.version' || at === 'spec.cluster.imageRegistry') {
      plan.upgrade = true
      plan.operation = 'upgrade'
    } else if (at.startsWith('spec.nodes.master.')) {
      planMaster(plan, at.slice('spec.nodes.master.'.length), old, next, resuming || suspending)
    } else if (at === 'spec.cluster.exposure' && (old ?? 'loadbalancer') !== (next ?? 'loadbalancer')) {
      Object.assign(plan, { exposure: true, before: false, after: false, operation: 'change_exposure' })
    } else if (at === 'spec.nodes.data') {
      planData(plan, old as Group[], next as Group[], { resuming, suspending })
    }
  }
  if (plan.disk && operator.options.noDowntimeStorageExpansion) Object.assign(plan, { before: false, after: false })
  plan.nothing = !(plan.upgrade || plan.compute || plan.scale || plan.disk || plan.exposure)
  return plan
}

// biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
type Group = any

/** Suspending and resuming concern the whole cluster: all data groups scale to or from zero. */
export function directionOf(diff: Diff): { resuming: boolean; suspending: boolean } {
  const data = diff.find(({ path }) => path.join('.') === 'spec.nodes.data')
  const none = (groups: unknown) => (groups as Group[]).every(({ replicas }) => (replicas ?? 0) === 0)
  return data ? { resuming: none(data.old), suspending: none(data.new) } : { resuming: false, suspending: false }
}

function planMaster(plan: Plan, field: string, old: unknown, next: unknown, wholeCluster: boolean): void {
  if (field === 'replicas') {
    const [before, now] = [Number(old ?? 0), Number(next ?? 0)]
    if (before === 0 || now === 0) {
      if (wholeCluster) return
      const only = 'only supported as part of a full cluster suspend/resume (driven by the data nodes)'
      throw new Refusal(`Scaling master nodes to or from zero is ${only}, not as a standalone master.replicas change.`)
    }
    if (now < 3 || now % 2 === 0) {
      throw new Refusal(`Dedicated master nodes (spec.nodes.master.replicas) must be an odd number >= 3 to form a quorum, got ${now}.`)
    }
    Object.assign(plan, { scale: true, operation: 'scale' })
  } else if (field === 'resources.disk.size') plan.disk = true
  else if (field.startsWith('resources.disk')) return
  else if (field.startsWith('resources') || field === 'nodepool') Object.assign(plan, { compute: true, operation: 'change_compute' })
}

function planData(plan: Plan, old: Group[], next: Group[], { resuming, suspending }: { resuming: boolean; suspending: boolean }): void {
  if (old.length !== next.length) {
    throw new Refusal(
      `Adding and removing node specs is not supported at this time (spec.nodes.data went from ${old.length} to ${next.length} groups).`,
    )
  }
  for (const [index, before] of old.entries()) {
    const now = next[index]
    if (before.replicas !== now.replicas) {
      Object.assign(plan, { scale: true, operation: resuming ? 'resume' : suspending ? 'suspend' : 'scale' })
      if (resuming) plan.before = false
      else if (suspending) plan.after = false
    } else if (before.resources?.disk?.size !== now.resources?.disk?.size) plan.disk = true
    else if (computeDiffers(before, now)) Object.assign(plan, { compute: true, operation: 'change_compute' })
  }
}

/** Limits, requests and the node pool, without the heap ratio. */
export function computeDiffers(a: Group, b: Group): boolean {
  const of = ({ resources, nodepool }: Group) => [
    resources?.limits?.cpu,
    resources?.requests?.cpu,
    resources?.limits?.memory,
    resources?.requests?.memory,
    nodepool,
  ]
  return JSON.stringify(of(a)) !== JSON.stringify(of(b))
}

/** The `action` of a webhook on a failed update. */
export function actionOf(diff: Diff): 'upgrade' | 'scale' | 'suspend' | 'expand_storage' | 'change_compute' | 'unknown' {
  for (const { path, old, new: next } of diff) {
    const at = path.join('.')
    if (at === 'spec.cluster.version' || at === 'spec.cluster.imageRegistry') return 'upgrade'
    if (at === 'spec.nodes.master.replicas') return 'scale'
    if (at !== 'spec.nodes.data') continue
    for (const [index, before] of (old as Group[]).entries()) {
      const now = (next as Group[])[index]
      if (!now) continue
      if (before.replicas !== now.replicas) return before.replicas === 0 || now.replicas === 0 ? 'suspend' : 'scale'
      if (before.resources?.disk?.size !== now.resources?.disk?.size) return 'expand_storage'
      if (computeDiffers(before, now)) return 'change_compute'
    }
  }
  return 'unknown'
}
