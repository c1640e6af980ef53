import { createHash } from 'node:crypto'
import * as z from 'zod'
import { type KubernetesObject, kinds } from '../../shared/kubernetes/objects.ts'
import { readDatabase } from './cratedb.ts'
import type { StoredDatabaseSpec } from './database.ts'
import { toBase64 } from './database-secrets.ts'
import type { DatabaseShape } from './kept-volume.ts'
import { type DatabaseTarget, namespaceOf } from './kind.ts'
import { annotation, label, managedBy } from './labels.ts'
import type { RetainedDatabase, RetainedDatabaseSpec, RetainedDatabaseVolume } from './retained-database.ts'
import { handleOf } from './volume-source.ts'

/** Everything that is known of a deleted database. */
export type DeletedDatabase = {
  /** The CrateDB as it was last seen; undefined if nobody knows it. */
  cratedb?: KubernetesObject | undefined
  /** The state that was last accepted, for a database whose CrateDB nobody knows. */
  wanted?: StoredDatabaseSpec | undefined
  /** What its volumes say of it. */
  shape?: DatabaseShape | undefined
  volumes: RetainedDatabaseVolume[]
  /** The names of its Secrets. */
  secrets: string[]
}

/** How it came to be deleted, or found. */
export type DeletionFacts = Pick<RetainedDatabaseSpec, 'origin' | 'deletedAt' | 'deletedBy' | 'operation'> & {
  /** Of its CrateDB. */
  uid?: string | undefined
  /** For how many days its data is kept; undefined if nobody decided that it may go. */
  keepDays?: number | undefined
}

const dayMs = 24 * 60 * 60_000

/**
 * The id of a deleted database: `tidal-gauge.3f9a01bc`. The same CrateDB always has the same id, and so have the same volumes, if only they
 * were found.
 */
export function retainedId(database: string, known: { uid?: string | undefined; volumes: readonly { uid: string }[] }): string {
  const text =
    known.uid ??
    known.volumes
      .map(({ uid }) => uid)
      .toSorted()
      .join(' ')
  return `${database}.${createHash('sha256').update(text).digest('hex').slice(0, 8)}`
}

/** The record of a deleted database. @param namespace the agent's own */
export function retainedDatabase(
  namespace: string,
  { project, database }: DatabaseTarget,
  { cratedb, wanted, shape, volumes, secrets }: DeletedDatabase,
  { uid, keepDays, ...deletion }: DeletionFacts,
): RetainedDatabase {
  const state = cratedb ? readDatabase(cratedb) : wanted
  return {
    ...recordType,
    metadata: {
      name: retainedId(database, { uid, volumes }),
      namespace,
      labels: { ...managedBy, [label.project]: project, [label.database]: database },
    },
    spec: {
      project,
      database,
      ...(uid !== undefined && { uid }),
      ...deletion,
      ...(keepDays !== undefined && { expiresAt: new Date(Date.parse(deletion.deletedAt) + keepDays * dayMs).toISOString() }),
      ...(state && { wanted: state }),
      ...(cratedb && { cratedb: asItStood(cratedb) }),
      ...(shape && { shape }),
      volumes,
      secrets: secrets.toSorted(),
    },
  }
}

const recordType = { apiVersion: kinds.RetainedDatabase.apiVersion, kind: 'RetainedDatabase' as const }

/** Annotations of the operator's framework and of kubectl, which describe the object that is gone. */
const bookkeeping = /^(operator\.cloud\.crate\.io|kopf\.zalando\.org|kopf\.dev|kubectl\.kubernetes\.io)\//

/**
 * Annotations of a CrateDB that is made again: without those that describe the object that is gone, and without the permission to delete that
 * one in spite of its protection.
 */
export function lastingAnnotations(annotations: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(annotations).filter(([key]) => !bookkeeping.test(key) && key !== annotation.allowDeletion))
}

/** A CrateDB without what describes only the object that is gone. */
function asItStood({ metadata, spec = {} }: KubernetesObject): NonNullable<RetainedDatabaseSpec['cratedb']> {
  // A restore that was on names a Secret that is gone, and would begin again.
  const { restoreSnapshot: _, ...cluster } = spec.cluster ?? {}
  return {
    labels: { ...metadata.labels },
    annotations: lastingAnnotations(metadata.annotations),
    spec: { ...structuredClone(spec), cluster },
  }
}

/** An entry of the ledger is no place for more. In characters. */
const mostInEntry = 64 * 1024

/** The same as an entry of the ledger has it; undefined if it is too large for one. */
export function asEntryHasIt(object: KubernetesObject): RetainedDatabaseSpec['cratedb'] {
  const cratedb = asItStood(object)
  return JSON.stringify(cratedb).length > mostInEntry ? undefined : cratedb
}

type Recorded = { spec: Pick<RetainedDatabaseSpec, 'project' | 'database'> & { cratedb?: RetainedDatabaseSpec['cratedb'] | undefined } }

/** The CrateDB as it was recorded; undefined if it is not known. */
export function recordedCrateDB({ spec: { project, database, cratedb } }: Recorded): KubernetesObject | undefined {
  return (
    cratedb && {
      apiVersion: kinds.CrateDB.apiVersion,
      kind: 'CrateDB',
      metadata: {
        name: database,
        namespace: namespaceOf(project),
        labels: cratedb.labels,
        annotations: lastingAnnotations(cratedb.annotations),
      },
      spec: structuredClone(cratedb.spec),
    }
  )
}

/** A volume as a record names it. @param claim `NAMESPACE/CLAIM` */
export function retainedVolumeOf(volume: KubernetesObject, claim: string): RetainedDatabaseVolume {
  const { capacity, storageClassName } = volume.spec
  const handle = handleOf(volume)
  return {
    volume: volume.metadata.name,
    uid: volume.metadata.uid ?? '',
    claim,
    ...(capacity?.storage && { capacity: capacity.storage }),
    ...(storageClassName && { storageClass: storageClassName }),
    ...(handle && { handle }),
  }
}

/** The names of the Secrets that a CrateDB refers to. */
export function secretsNamedBy({ spec }: KubernetesObject): string[] {
  const found = new Set<string>()
  const look = (part: unknown): void => {
    if (typeof part !== 'object' || part === null) return
    for (const [key, value] of Object.entries(part)) {
      if (key === 'secretKeyRef' && typeof value?.name === 'string') found.add(value.name)
      else look(value)
    }
  }
  look(spec)
  return [...found].sort()
}

/** The name of the Secret with the content of all Secrets of a deleted database. */
function retainedSecretName(id: string): string {
  return `retained-${id}`
}

/** The name of the Secret that is about to replace that one, and says more. */
export function nextSecretName(name: string): string {
  return `${name}-next`
}

/** Whether a Secret goes with the record of that uid. One of an earlier record of the same name is about to be collected. */
export function isOwnedBy({ metadata }: KubernetesObject, uid: string | undefined): boolean {
  return uid !== undefined && metadata.ownerReferences?.[0]?.uid === uid
}

type ReadSecret = (name: string) => Promise<KubernetesObject | undefined>

/** The Secret that has the Secrets of a deleted database. @param read reads a Secret in the namespace of the record */
export async function readRetainedSecret({ metadata }: RetainedDatabase, read: ReadSecret): Promise<KubernetesObject | undefined> {
  const name = retainedSecretName(metadata.name)
  const next = await read(nextSecretName(name))
  return next && isOwnedBy(next, metadata.uid) ? next : read(name)
}

/**
 * The Secret that keeps the Secrets of a deleted database, one under each key. It goes with the record.
 * @param record as the API server has it, with its uid
 */
export function retainedSecret({ metadata: { name, namespace, uid = '', labels } }: RetainedDatabase, secrets: KubernetesObject[]) {
  const data = secrets.map(({ metadata, type, data = {} }): [string, string] => [
    metadata.name,
    toBase64(JSON.stringify({ labels: metadata.labels ?? {}, type: type ?? 'Opaque', data })),
  ])
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: retainedSecretName(name),
      namespace: namespace as string,
      labels: { ...labels },
      ownerReferences: [{ apiVersion: recordType.apiVersion, kind: recordType.kind, name, uid }],
    },
    type: 'Opaque',
    data: Object.fromEntries(data.sort(([one], [other]) => (one < other ? -1 : 1))),
  } satisfies KubernetesObject
}

const texts = z.record(z.string(), z.string())
const keptSecret = z.object({ labels: texts, type: z.string(), data: texts })

/** The Secrets of a deleted database as they were, for its project. One that cannot be read is left out. */
export function secretsIn({ data = {} }: KubernetesObject, project: string): KubernetesObject[] {
  return Object.entries(data as Record<string, string>).flatMap(([name, text]) => {
    const kept = keptSecret.safeParse(jsonIn(text))
    if (!kept.success) return []
    const { labels, type, data } = kept.data
    return [{ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: namespaceOf(project), labels }, type, data }]
  })
}

function jsonIn(base64: string): unknown {
  try {
    return JSON.parse(Buffer.from(base64, 'base64').toString('utf8'))
  } catch {
    return undefined
  }
}
