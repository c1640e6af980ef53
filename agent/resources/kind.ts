import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'

/** What a request is about. A project's id and a database's id are the names in the API's paths. */
export type Target = { kind: 'project'; project: string } | { kind: 'database'; project: string; database: string }

/** What a target is called in keys, labels, logs and sentences: `project harbour`, `database harbour/tidal-gauge`. */
export function describeTarget(target: Target): string {
  return target.kind === 'project' ? `project ${target.project}` : `database ${target.project}/${target.database}`
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
}

/** A value in a request that must never stand in an Operation's spec, by its place in the request: `users.0.password`. */
export type Secrets = Record<string, string>

/** A storage class as rules need it. */
export type StorageClassFacts = { name: string; provisioner: string; expandable: boolean; reclaims: boolean; isDefault: boolean }

/** The project whose namespace this is; undefined for a namespace that is not a project's. */
export function projectOf(namespace: string): string | undefined {
  return namespace.startsWith('project-') ? namespace.slice('project-'.length) : undefined
}
