import * as z from 'zod'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { annotation } from '../resources/labels.ts'

const moment = z.iso.datetime()

const schema = z.looseObject({
  /** The schedule, when it was set, and since when its runs count: from then on, or from the last of its runs that was taken into account. */
  schedule: z.object({ cron: z.string(), since: moment, set: moment.optional() }).optional(),
  lastSuccess: z.object({ at: moment, startedAt: moment, snapshot: z.string() }).optional(),
  /** Earlier versions did not name the operation. */
  lastFailure: z.object({ at: moment, operation: z.string().optional(), reason: z.string(), message: z.string() }).optional(),
  /** Failures since the last success. */
  failures: z.int().min(0).optional(),
  /** What became of the rehearsals of its restore. */
  rehearsal: z
    .looseObject({
      /** As that of backups. */
      schedule: z.object({ cron: z.string(), since: moment }).optional(),
      lastSuccess: z.object({ at: moment, operation: z.string(), snapshot: z.string() }).optional(),
      lastFailure: z.object({ at: moment, operation: z.string(), reason: z.string(), message: z.string() }).optional(),
    })
    .optional(),
  /** The folder that the last success went into, and the newest snapshot of Skerry that was in it before the first one. */
  folder: z
    .object({ bucket: z.string(), basePath: z.string().optional(), endpointUrl: z.string().optional(), former: z.string().optional() })
    .optional(),
  /** The Secret with whose keys the repository was created: its uid and version. */
  repository: z.string().optional(),
})

/** What became of a database's own backups. It is kept on its CrateDB, since operations are collected. Members of others stay. */
export type BackupState = z.output<typeof schema>

/** The state that a CrateDB bears; empty if it bears none that could be read. */
export function readBackupState({ metadata }: KubernetesObject): BackupState {
  try {
    const parsed = schema.safeParse(JSON.parse(metadata.annotations?.[annotation.backups] ?? '{}'))
    return parsed.success ? parsed.data : {}
  } catch {
    return {} // edited by hand; the next backup replaces it
  }
}

/**
 * The merge patch that changes the state of a CrateDB, and is refused if anything else of the object has changed since it was read.
 * @param change members that replace the present ones; undefined removes one
 */
export function backupStatePatch(object: KubernetesObject, change: Partial<BackupState>): object {
  const text = JSON.stringify({ ...readBackupState(object), ...change })
  return { metadata: { resourceVersion: object.metadata.resourceVersion, annotations: { [annotation.backups]: text } } }
}

/** A text of others in the state: long ones are cut, since annotations share 256 KiB. */
export function shortened(text: string): string {
  return text.length > 500 ? `${text.slice(0, 499).toWellFormed()}…` : text
}
