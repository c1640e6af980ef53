import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { type AllowedKeys, keysToLeave } from './allowed-keys.ts'
import { readDatabase } from './cratedb.ts'
import type { StoredDatabaseSpec } from './database.ts'
import { databaseLabels } from './database-secrets.ts'
import { type DatabaseTarget, namespaceOf } from './kind.ts'
import type { RetainedDatabaseSpec } from './retained-database.ts'
import { lastingAnnotations } from './retained-record.ts'
import { settings } from './settings.ts'

/*
 * A CrateDB of a region file. Another tool made it, with the rights of an administrator, but whoever sends the file has those of a caller of the
 * API: it gets nothing that a request for a database does not get.
 */

/** A CrateDB as a region file has it. */
export type ForeignCrateDB = NonNullable<RetainedDatabaseSpec['cratedb']>

/** What the site decides for all databases. */
export type SiteRules = { imageRegistry: string; allowedKeys: AllowedKeys }

/** The CrateDB within the rules of the site, what it lost by that, and what stands against it, each continuing a sentence. */
export type WithinRules = { cratedb: ForeignCrateDB; notes: string[]; faults: string[] }

type Texts = Record<string, string>
type Group = Record<string, unknown> & { labels?: Texts; annotations?: Texts; settings?: object }
type Parts = {
  cluster?: Record<string, unknown> & { service?: { annotations?: unknown } }
  nodes?: { data?: Group[]; master?: Group }
  grandCentral?: unknown
}

/**
 * Takes from a CrateDB what a request for a database could not ask for: another registry, hosts of a pool, instructions for the load balancer,
 * images of other programs, labels and annotations that the site does not allow. A setting is not left out, since the database may need it.
 * Pure; for a CrateDB that is within the rules it changes nothing.
 */
export function withinRules(given: ForeignCrateDB, target: DatabaseTarget, { imageRegistry, allowedKeys }: SiteRules): WithinRules {
  const spec = structuredClone(given.spec) as Parts
  const { cluster = {} } = spec
  const notes: string[] = []
  if (cluster.imageRegistry !== imageRegistry) {
    notes.push(
      `Its image comes from ${imageRegistry} as of all databases, and no longer from ${String(cluster.imageRegistry).slice(0, 200)}.`,
    )
    spec.cluster = { ...cluster, imageRegistry }
  }
  if (spec.cluster?.service?.annotations !== undefined) {
    notes.push('The annotations of its Service are left out: they instruct the load balancer of the site.')
    delete spec.cluster.service.annotations
  }
  if (spec.grandCentral !== undefined) {
    notes.push('It has no console of CrateDB Cloud (grandCentral) afterwards.')
    delete spec.grandCentral
  }
  const own = databaseLabels(target) as Texts
  const without = (member: keyof AllowedKeys, texts: Texts | undefined, current?: Texts) => {
    const leave = new Set(keysToLeave(texts ?? {}, current, allowedKeys[member]))
    if (leave.size > 0) notes.push(`These ${member} are left out, which this region does not allow: ${[...leave].slice(0, 10).join(', ')}.`)
    return Object.fromEntries(Object.entries(texts ?? {}).filter(([key]) => !leave.has(key)))
  }
  for (const group of groupsIn(spec)) {
    if (group.nodepool !== undefined) {
      notes.push('Its nodes have a host each, and none of a pool of hosts (nodepool).')
      delete group.nodepool
    }
    for (const member of ['labels', 'annotations'] as const) if (group[member] !== undefined) group[member] = without(member, group[member])
  }
  const cratedb = { ...given, labels: without('labels', given.labels, own), spec: spec as ForeignCrateDB['spec'] }
  return { cratedb, notes: [...new Set(notes)], faults: settingFaults(spec) }
}

function groupsIn({ nodes = {} }: Parts): Group[] {
  return [...(Array.isArray(nodes.data) ? nodes.data : []), ...(nodes.master ? [nodes.master] : [])]
}

/** Of the database and of each of its groups, which the API does not tell apart. */
function settingFaults(spec: Parts): string[] {
  const all = [spec.cluster?.settings, ...groupsIn(spec).map((group) => group.settings)]
  const faults = all.flatMap((given) => {
    const parsed = settings.safeParse(given ?? {})
    return parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `its setting ${path.join('.').slice(0, 200)} ${message}`)
  })
  return [...new Set(faults)]
}

/** The CrateDB of another tool, with running nodes, and without a restore, which would begin again. @param counts by data group */
export function createdAnew(
  { project, database }: DatabaseTarget,
  { labels, annotations, spec }: ForeignCrateDB,
  counts: number[],
): KubernetesObject {
  const made = structuredClone(spec) as KubernetesObject['spec']
  delete made.cluster?.restoreSnapshot
  for (const [index, group] of (made.nodes?.data ?? []).entries()) if (group.replicas === 0) group.replicas = counts[index] ?? 1
  const metadata = { name: database, namespace: namespaceOf(project), labels, annotations: lastingAnnotations(annotations) }
  return { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata, spec: made }
}

/**
 * What such a CrateDB is as a database: by itself, whatever the file says beside it.
 * @param stated its body in the file, which says how many nodes it had if it was suspended
 */
export function stateOf(target: DatabaseTarget, cratedb: ForeignCrateDB, stated: StoredDatabaseSpec): StoredDatabaseSpec {
  return readDatabase(createdAnew(target, cratedb, countsOf(stated)))
}

/** The numbers of nodes of all data groups. */
export function countsOf({ nodes, otherGroups = [] }: StoredDatabaseSpec): number[] {
  return [nodes, ...otherGroups].map(({ count }) => count)
}
