import { freshRestores, type RestoreState, type TableState } from './restore-state.ts'

/** A finished snapshot in a bucket. */
export type StoredSnapshot = {
  id: string
  name: string
  tables: ({ name: string } & Omit<TableState, 'restored'>)[]
  started: number
  finished: number
  version: string
  state: 'SUCCESS' | 'PARTIAL' | 'FAILED'
  failures: string[]
  reason: string | null
}

/** A snapshot that is being taken. */
export type RunningSnapshot = Omit<StoredSnapshot, 'finished' | 'state' | 'failures' | 'reason'> & { repository: string; due: number }

/** What a bucket is like for CrateDB. */
export type BucketFault =
  /** No answer: nothing can be read or written. */
  | 'unreachable'
  /** The keys are refused, and the answer repeats the access key, as those of stores do. */
  | 'denied'
  /** Reads work. */
  | 'read-only'

/** A bucket of the store, which databases share. */
export type Bucket = { fault: BucketFault | undefined; folders: Map<string, StoredSnapshot[]> }

/** How snapshots of a database go from now on. */
type SnapshotBehaviour = {
  /** How long they take, in milliseconds. */
  ms: number
  /** They go on until this is false. */
  held: boolean
  ends: StoredSnapshot['state']
  failures: string[]
  reason: string | null
}

/** Repositories and what they do, of one database. */
export type RepositoryState = RestoreState & {
  registered: Map<string, { type: string; settings: Record<string, string> }>
  running: RunningSnapshot[]
  behaviour: SnapshotBehaviour
  /** While it is true, the verification of a new repository goes on. */
  verificationHeld: boolean
  jobs: Map<string, { stmt: string; username: string; started: number }>
  jobsLog: { id: string; stmt: string; username: string; started: number; ended: number; error: string | null }[]
  /** The tables of users. */
  tables: Map<string, TableState>
}

/** @returns the state of a database without repositories and tables */
export function freshRepositories(): RepositoryState {
  return {
    registered: new Map(),
    running: [],
    behaviour: { ms: 0, held: false, ends: 'SUCCESS', failures: [], reason: null },
    verificationHeld: false,
    jobs: new Map(),
    jobsLog: [],
    tables: new Map(),
    ...freshRestores(),
  }
}
