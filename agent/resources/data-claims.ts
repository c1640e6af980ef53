import { dataGroup } from './cratedb.ts'
import { groupsOf, type StoredDatabaseSpec } from './database.ts'

/** A group of nodes of a database as its claims name it, and how many volumes it has: `disks` for each of `nodes`. */
export type ClaimGroup = { name: string; nodes: number; disks: number; size: string }

/**
 * The groups of nodes of a database.
 * @param names those of its data groups; if left out, the one that Skerry gives
 */
export function claimGroups(spec: StoredDatabaseSpec, names: readonly string[] = [dataGroup]): ClaimGroup[] {
  const all = groupsOf(spec)
  return all.map(({ count, disk }, index) => ({
    name: spec.master && index === all.length - 1 ? 'master' : `data-${names[index] ?? ''}`,
    ...{ nodes: count, disks: disk.count, size: disk.size },
  }))
}

/** The data claims of such a group, by the names that Crate Operator (create.py) and StatefulSet give them. */
export function claimsOfGroup(database: string, { name, nodes, disks }: Omit<ClaimGroup, 'size'>): string[] {
  return Array.from({ length: nodes }, (_, node) => node).flatMap((node) =>
    Array.from({ length: disks }, (_, disk) => `data${disk}-crate-${name}-${database}-${node}`),
  )
}

/** The names of the data groups in the spec of a CrateDB; undefined without one. */
export function groupNames(spec: { nodes?: unknown } | undefined): string[] | undefined {
  const data = (spec?.nodes as { data?: unknown } | undefined)?.data
  return Array.isArray(data) ? data.map((group) => String(group?.name ?? '')) : undefined
}

/** Whether a claim is one of the data claims of a database, by the name that StatefulSet and Crate Operator give it. */
export function isClaimOf(claim: string, database: string): boolean {
  const [, rest] = /^data\d{1,3}-crate-(.+)-\d{1,4}$/.exec(claim) ?? []
  if (rest === undefined || !rest.endsWith(`-${database}`)) return false
  const group = rest.slice(0, -database.length - 1)
  return group === 'master' || /^data-[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(group)
}
