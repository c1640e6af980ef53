import type { RegionDocument } from './region-schema.ts'

/** How large the document of a region can become: it also travels to the cloud, over whatever link there is. */
export const bounds = {
  hosts: 500,
  databases: 2_000,
  storageClasses: 100,
  blockers: 50,
  /** Of drivers, classes and versions. */
  names: 50,
  /** With more hosts, the document does not have them a second time, in the shape of the AMRC manager. */
  amrcHosts: 100,
  bytes: 256 * 1024,
} as const

/** The fields whose length depends on what is in the cluster. */
export type Bounded = Pick<RegionDocument, 'hosts' | 'databaseStates' | 'storageClasses' | 'blockers'>

/** Room for what is said about entries that are left out. */
const spareBytes = 256

/** The document within the bounds. What is left out is counted in `leftOut`: databases first, then hosts. */
export function withinBytes(document: RegionDocument): RegionDocument {
  const { hosts, databaseStates, storageClasses, blockers } = document
  const states = Object.entries(databaseStates)
  const kept = {
    ...document,
    hosts: hosts.slice(0, bounds.hosts),
    storageClasses: storageClasses.slice(0, bounds.storageClasses),
    blockers: blockers.slice(0, bounds.blockers),
  }
  const keptStates = states.slice(0, bounds.databases)
  let excess = bytesOf({ ...kept, databaseStates: Object.fromEntries(keptStates) }) + spareBytes - bounds.bytes
  excess -= shorten(keptStates, excess, ([key, state]) => bytesOf(key) + bytesOf(state) + 2)
  shorten(kept.hosts, excess, (host) => bytesOf(host) + 1)
  const leftOut = Object.entries({
    hosts: hosts.length - kept.hosts.length,
    databaseStates: states.length - keptStates.length,
    storageClasses: storageClasses.length - kept.storageClasses.length,
    blockers: blockers.length - kept.blockers.length,
  }).filter(([, count]) => count > 0)
  return {
    ...kept,
    databaseStates: Object.fromEntries(keptStates),
    ...(leftOut.length > 0 && { leftOut: Object.fromEntries(leftOut) }),
  }
}

/** Drops entries from the end until so many bytes are saved. @returns how many are */
function shorten<T>(list: T[], bytes: number, sizeOf: (entry: T) => number): number {
  let saved = 0
  while (saved < bytes) {
    const last = list.pop()
    if (last === undefined) break
    saved += sizeOf(last)
  }
  return saved
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}
