import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'

/**
 * Every kind of target: the names that identify one, in the order of the API's paths, and the scope that a change needs. Code that depends
 * on the kind is a table with these keys, so that the compiler finds each table that lacks a new kind.
 */
export const targetKinds = {
  region: { names: [], scope: 'region:write' },
  project: { names: ['project'], scope: 'projects:write' },
  database: { names: ['project', 'database'], scope: 'databases:write' },
} as const satisfies Record<string, { names: readonly string[]; scope: string }>

/** `region`, `project` or `database`. */
export type TargetKind = keyof typeof targetKinds

/** The resource of a request, by the ids in the API's paths. */
export type Target = {
  [Kind in TargetKind]: { kind: Kind } & { [Name in (typeof targetKinds)[Kind]['names'][number]]: string }
}[TargetKind]

/** A target of one kind. */
export type TargetOf<Kind extends TargetKind> = Extract<Target, { kind: Kind }>
export type RegionTarget = TargetOf<'region'>
export type ProjectTarget = TargetOf<'project'>
export type DatabaseTarget = TargetOf<'database'>
/** A target that is a project, or in one. */
export type TargetInProject = ProjectTarget | DatabaseTarget

/** Whether this version knows the kind: the cluster may hold operations that a newer version accepted. */
export function isKnownKind(kind: string): kind is TargetKind {
  return Object.hasOwn(targetKinds, kind)
}

/** The project that a target is, or is in; undefined for the region. */
export function projectOfTarget(target: Target): string | undefined {
  return 'project' in target ? target.project : undefined
}

/** The name of a target in logs and messages: `region`, `project harbour`, `database harbour/tidal-gauge`. */
export function describeTarget(target: Target): string {
  const names = new Map(Object.entries(target))
  const order = isKnownKind(target.kind) ? targetKinds[target.kind].names : [...names.keys()].filter((name) => name !== 'kind').sort()
  return [target.kind, order.map((name) => names.get(name)).join('/')].filter(Boolean).join(' ')
}

/** The namespace in which a project's objects live. */
export function namespaceOf(project: string): string {
  return `project-${project}`
}

/**
 * One change that the cluster makes as a whole. It is written once and completed before the next begins.
 * A plan is a list of steps: `dryRun` shows it, and the executor carries it out.
 */
export type Step = {
  /** The kind of change: `create`, `upgrade`, `scale`, `suspend`, …: the same word in logs, statuses and metrics. */
  name: string
  /** The objects to write by server-side apply, in this order. */
  objects: KubernetesObject[]
  /** The consequences for users of the resource, in sentences: outages, changed addresses, lost data. */
  consequences: string[]
  /** A merge patch that is written to the object in the same request, and that an apply cannot express: it removes or takes back fields. */
  alongside?: Record<string, unknown>
  /** The objects that it deletes. */
  removed?: KubernetesObject[]
}

/** Values of a request that must never be in an Operation, by their place in the request: `users.0.password`. */
export type Secrets = Record<string, string>

/** A storage class as rules need it. */
export type StorageClassFacts = { name: string; provisioner: string; expandable: boolean; reclaims: boolean; isDefault: boolean }

/** The project whose namespace this is; undefined for a namespace that is not a project's. */
export function projectOf(namespace: string): string | undefined {
  return namespace.startsWith('project-') ? namespace.slice('project-'.length) : undefined
}
