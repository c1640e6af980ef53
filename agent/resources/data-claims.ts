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

/** `data0-crate-data-hot-tide-2`: of StatefulSet and Crate Operator (create.py). A database has at most 1000 nodes and 16 disks each. */
const dataClaim = /^data\d{1,3}-crate-((?:master|data-[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)-[a-z0-9][-a-z0-9.]*)-\d{1,4}$/

/** Whether a claim is for data, by the name that the Crate Operator gives it. Other claims are for heap dumps, which are not kept. */
export function holdsData(claim: string): boolean {
  return dataClaim.test(claim)
}

/**
 * Whether a claim is one of the data claims of a database, by its name.
 *
 * @param groups the names of its data groups. If nobody knows them, a claim of `high-tide` passes as one of `tide` too, as one of its group
 *   `hot-high`: whose the data is, a label says.
 */
export function isClaimOf(claim: string, database: string, groups: readonly string[] | undefined): boolean {
  const [, set = ''] = dataClaim.exec(claim) ?? []
  if (groups) return set === `master-${database}` || groups.some((group) => set === `data-${group}-${database}`)
  return (
    set === `master-${database}` || (set.startsWith('data-') && set.endsWith(`-${database}`) && set.length > `data--${database}`.length)
  )
}
