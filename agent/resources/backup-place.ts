import type { BodyFault } from '../../shared/errors.ts'
import { pointerTo } from '../../shared/json-pointer.ts'
import type { StoredBackups, StoredDatabaseSpec } from './database.ts'

/*
 * What of `backups` can change after creation. The Crate Operator makes the CronJob of the snapshots once, and acts later on a change of
 * `backups.aws.cron` alone (backup.py, main.py of 2.63.0). But the variables of that job refer to the database's Secret, and Kubernetes reads
 * them again for each job: a new value in the Secret is that of the next snapshot. Only the folder and the time are values of the job itself.
 */

/** The members of each kind of place that are in the Secret, besides the credentials. */
const placeMembers = {
  aws: ['bucket', 'region', 'endpointUrl'],
  azureBlob: ['accountName', 'container', 'region'],
} as const

type Place = Record<string, string | undefined>

/** Where the snapshots go: the kind of the place, and its members that are in the Secret. */
function placeOf({ aws, azureBlob }: StoredBackups = {}): { kind: keyof typeof placeMembers; all: Place; place: Place } | undefined {
  const kind = aws ? 'aws' : azureBlob ? 'azureBlob' : undefined
  if (kind === undefined) return undefined
  const all: Place = { ...aws, ...azureBlob }
  return { kind, all, place: Object.fromEntries(placeMembers[kind].map((member) => [member, all[member]])) }
}

type WithBackups = Pick<StoredDatabaseSpec, 'id' | 'backups'>

/** Whether the snapshots are to go to another place of the same kind. */
export function movesBackups({ backups: is }: Pick<WithBackups, 'backups'>, { backups: wants }: Pick<WithBackups, 'backups'>): boolean {
  const [before, after] = [placeOf(is), placeOf(wants)]
  if (!before || before.kind !== after?.kind) return false
  return placeMembers[before.kind].some((member) => before.place[member] !== after.place[member])
}

const snapshotsInstead = 'use "snapshots", the backups that Skerry takes itself: they can be added, changed and removed at any time'

/**
 * The edits of `backups` that the operator would ignore.
 * @param endpointIsRead whether the job has a variable for the address of the store
 */
export function unsupportedBackups(
  current: WithBackups,
  wanted: WithBackups,
  { endpointIsRead }: { endpointIsRead: boolean },
): BodyFault[] {
  const [before, after] = [placeOf(current.backups), placeOf(wanted.backups)]
  if (!before && !after) return []
  if (!before) return [fault([], `cannot be added after creation, which is when the Crate Operator reads it; ${snapshotsInstead}`)]
  if (!after) {
    const job = `the Crate Operator leaves the CronJob create-snapshot-${current.id} as it is; to stop it, suspend it with kubectl`
    return [fault([], `cannot be removed after creation: ${job}`)]
  }
  if (before.kind !== after.kind) {
    return [
      fault([], `must stay on ${before.kind}, which the Crate Operator reads at creation only; for another place ${snapshotsInstead}`),
    ]
  }
  const { kind } = before
  const members = new Set([...Object.keys(before.all), ...Object.keys(after.all)])
  return [...members].flatMap((member) => {
    const [is, wants] = [before.all[member], after.all[member]]
    const isPlace = (placeMembers[kind] as readonly string[]).includes(member)
    if (is === wants || (kind === 'aws' && member === 'cron')) return []
    // A request that knows the place of a part would overwrite what another tool keeps in a Secret of its own.
    const isForeign = Object.values(before.place).includes('')
    if (isPlace && isForeign) return [fault([kind, member], 'is not known, since another tool set up these backups; leave backups out')]
    if (member === 'endpointUrl' && is === undefined && !endpointIsRead) {
      const message = `must stay unset: the database was created without it, and its snapshot job has no variable for it; for another store ${snapshotsInstead}`
      return [fault([kind, member], message)]
    }
    if (isPlace) return []
    const stay = is === undefined ? 'stay unset' : `stay ${JSON.stringify(is)}`
    return [fault([kind, member], `must ${stay}: the Crate Operator reads it at creation only; for another one ${snapshotsInstead}`)]
  })
}

function fault(path: string[], message: string): BodyFault {
  return { path: pointerTo(['backups', ...path]), message }
}

/** The consequences of moving the backups to another place of the same kind. */
export function moveConsequences({ backups: is }: WithBackups, { backups: wants }: WithBackups): string[] {
  return [
    `The next snapshot goes to ${describePlace(wants)}.`,
    `Snapshots that were taken before stay in ${describePlace(is)}, where nothing deletes them any more; to restore one of them, name that place under "source".`,
    'The Crate Operator does not try the new place: look whether the next snapshot arrives.',
    'The exporter of backup metrics keeps the old place until it restarts.',
  ]
}

function describePlace({ aws, azureBlob }: StoredBackups = {}): string {
  if (aws) return `the bucket ${aws.bucket} (${aws.region}) ${aws.endpointUrl === undefined ? "of Amazon's S3" : `at ${aws.endpointUrl}`}`
  return `the container ${azureBlob?.container} of the storage account ${azureBlob?.accountName}`
}
