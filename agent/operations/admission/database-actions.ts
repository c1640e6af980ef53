import { Problem } from '../../../shared/errors.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { type Restore, restoreRefusals, rotatePasswordRefusals, splitRestoreSecrets } from '../../resources/database-actions.ts'
import type { DatabaseTarget } from '../../resources/database-secrets.ts'
import { type AcceptedResource, isUnprotected } from '../accepted.ts'
import {
  type Admission,
  type AdmissionParts,
  createPasswordMint,
  type Guard,
  leavesUnasked,
  leavingProblem,
  refusal,
  seconds,
} from './admission.ts'
import { projectFor } from './projects.ts'

type Request = { target: DatabaseTarget; guard: Guard<StoredDatabaseSpec> }

/** A rolling restart, node by node. */
export function admitRestart(parts: AdmissionParts, request: Request): Admission {
  return plain(() => {
    const { spec } = databaseFor(parts, request)
    if (spec.suspended) throw refusal('wrong-state', [{ path: '', message: 'the database is suspended; use actions/resume first' }])
    const { target } = request
    return { action: 'restart', target, timeoutSeconds: seconds(parts.config.timeouts.change), tryOut: [] }
  })
}

/** A snapshot into the database that stands. */
export function admitRestore(parts: AdmissionParts, { given, ...request }: Request & { given: Restore }): Admission {
  const { restore, secrets } = splitRestoreSecrets(given)
  return plain(() => {
    const { spec } = databaseFor(parts, request)
    const faults = restoreRefusals(spec, restore)
    if (faults.length > 0) throw refusal(faults.some(({ path }) => path === '') ? 'wrong-state' : 'invalid-fields', faults)
    return {
      action: 'restore',
      target: request.target,
      parameters: { ...restore },
      ...(Object.keys(secrets).length > 0 && { secrets }),
      timeoutSeconds: seconds(parts.config.timeouts.restore),
      tryOut: [],
    }
  })
}

/** Another password for one of the users that the database was created with; generated if none is given. */
export function admitRotatePassword(
  parts: AdmissionParts,
  { user, password, ...request }: Request & { user: string; password: string | undefined },
): Admission {
  const chosen = password ?? createPasswordMint()('password')
  return {
    decide() {
      const { spec } = databaseFor(parts, request)
      const faults = rotatePasswordRefusals(spec, user)
      if (faults.length > 0) throw refusal(faults.some(({ path }) => path === '') ? 'wrong-state' : 'invalid-fields', faults)
      return {
        action: 'rotate-password',
        target: request.target,
        parameters: { user },
        secrets: { password: chosen },
        timeoutSeconds: seconds(parts.config.timeouts.password),
        tryOut: [],
      }
    },
    credentials: () => (password === undefined ? [{ user, password: chosen }] : []),
  }
}

/** The end of a database. Its volumes are kept unless the request, or else the database, says otherwise. */
export function admitDeleteDatabase(
  parts: AdmissionParts,
  { retainVolumes, ...request }: Request & { retainVolumes: boolean | undefined },
): Admission {
  return plain(() => {
    const { target } = request
    const present = databaseFor(parts, request, { seesOff: true })
    const { spec } = present
    if (spec.deletionProtection) {
      throw new Problem('protected', `Database ${target.project}/${target.database} has deletionProtection. Set it to false first.`)
    }
    return {
      action: 'delete',
      target,
      parameters: { retainVolumes: retainVolumes ?? spec.retainVolumes, ...(isUnprotected(present) && { unprotected: true }) },
      timeoutSeconds: seconds(parts.config.timeouts.delete),
      tryOut: [],
    }
  })
}

type Present = AcceptedResource<StoredDatabaseSpec>

/**
 * The database that an action needs.
 * @param seesOff whether the action is for one that is on its way out, too, as long as no operation deletes it
 * @throws Problem when there is none, or it or its project is on its way out
 */
function databaseFor(parts: AdmissionParts, { target, guard }: Request, { seesOff = false } = {}): Present {
  const present = parts.accepted.database(target.project, target.database)
  guard(present)
  projectFor(parts, target.project, { seesOff })
  if (!present) throw noSuchDatabase(target)
  if (present.leaving && !(seesOff && leavesUnasked(present)))
    throw leavingProblem(`database ${target.project}/${target.database}`, present)
  return present
}

/** There is none of that id. */
export function noSuchDatabase({ project, database }: DatabaseTarget): Problem {
  return new Problem('not-found', `There is no database ${database} in project ${project}.`)
}

function plain(decide: Admission['decide']): Admission {
  return { decide, credentials: () => [] }
}
