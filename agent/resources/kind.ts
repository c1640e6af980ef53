import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'

/**
 * Every kind of target: what names one, from the outside in, as in the API's paths, and the scope that a change of one needs. Whatever
 * tells kinds apart is a table with these keys, so that the compiler names each one that a new kind is missing from.
 */
export const targetKinds = {
  project: { names: ['project'], scope: 'projects:write' },
  database: { names: ['project', 'database'], scope: 'databases:write' },
} as const satisfies Record<string, { names: readonly string[]; scope: string }>

/** `project` or `database`. */
export type TargetKind = keyof typeof targetKinds

/** What a request is about. A project's id and a database's id are the names in the API's paths. */
export type Target = {
  [Kind in TargetKind]: { kind: Kind } & { [Name in (typeof targetKinds)[Kind]['names'][number]]: string }
}[TargetKind]

/** A target of one kind. */
export type TargetOf<Kind extends TargetKind> = Extract<Target, { kind: Kind }>
export type ProjectTarget = TargetOf<'project'>
export type DatabaseTarget = TargetOf<'database'>

/** Whether this version knows targets of that kind: the cluster may hold operations that a newer one accepted. */
export function isKnownKind(kind: string): kind is TargetKind {
  return Object.hasOwn(targetKinds, kind)
}

/** What a target is called in logs and sentences: `project harbour`, `database harbour/tidal-gauge`. */
export function describeTarget(target: Target): string {
  const names = new Map(Object.entries(target))
  const order = isKnownKind(target.kind) ? targetKinds[target.kind].names : [...names.keys()].filter((name) => name !== 'kind').sort()
  return `${target.kind} ${order.map((name) => names.get(name)).join('/')}`
}

/** The namespace in which a project's objects live. */
export function namespaceOf(project: string): string {
  return `project-${project}`
}

/**
 * One change that the cluster makes as a whole: written once, then waited for before the next.
 * A plan is a list of them; it is what `dryRun` shows and what the executor does.
 */
export type Step = {
  /** What kind of change: `create`, `upgrade`, `scale`, `suspend`, …; one word that logs, statuses and metrics share. */
  name: string
  /** What to write by server-side apply, in this order. */
  objects: KubernetesObject[]
  /** What it means for whoever uses the resource, in sentences: outages, addresses that change, data that goes. */
  consequences: string[]
  /** What it deletes. */
  removed?: KubernetesObject[]
}

/** A value in a request that must never stand in an Operation's spec, by its place in the request: `users.0.password`. */
export type Secrets = Record<string, string>

/** A storage class as rules need it. */
export type StorageClassFacts = { name: string; provisioner: string; expandable: boolean; reclaims: boolean; isDefault: boolean }

/** The project whose namespace this is; undefined for a namespace that is not a project's. */
export function projectOf(namespace: string): string | undefined {
  return namespace.startsWith('project-') ? namespace.slice('project-'.length) : undefined
}
