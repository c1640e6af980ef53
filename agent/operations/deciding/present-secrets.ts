import { createHash, timingSafeEqual } from 'node:crypto'
import { Problem } from '../../../shared/errors.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { listObjects, readObject } from '../../../shared/kubernetes/read.ts'
import { unlessNamespaceGone } from '../../region/project-rights.ts'
import { readSecrets } from '../../resources/database-secrets.ts'
import { type DatabaseTarget, namespaceOf, type Secrets } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import { secretsIn } from '../request-secret.ts'
import type { DecisionParts, Guard } from './decision.ts'

/**
 * The request with the present secrets of its database, and with a guard that refuses it if another request has brought secrets since. They
 * are read only if they are needed: to compare them with those in the request, or to pass on those of a creation that is not finished.
 * @param brings whether the request may contain secrets
 */
export async function withPresentSecrets<Asked extends { target: DatabaseTarget; guard: Guard }>(
  parts: DecisionParts,
  asked: Asked,
  brings: boolean,
): Promise<Asked & { presentSecrets?: Secrets }> {
  const { target, guard } = asked
  const present = parts.accepted.database(target.project, target.database)
  if (!present || (present.object && !brings)) return asked
  const bringing = () => parts.journal.unended(target).flatMap(({ spec }) => (spec.wanted === undefined ? [] : (spec.secretName ?? [])))
  const known = new Set(bringing())
  return {
    ...asked,
    presentSecrets: await readPresentSecrets(parts, target),
    guard(now: unknown) {
      guard(now)
      if (bringing().every((name) => known.has(name))) return
      throw new Problem('conflict', `Secrets of database ${target.database} were changed by another request at the same time.`)
    },
  }
}

/**
 * The last accepted secrets of a database, by place: those of open operations take precedence over those in its own Secrets. Empty if the
 * database does not exist. They are read for one request and not kept.
 */
async function readPresentSecrets({ accepted, journal, cluster, config }: DecisionParts, target: DatabaseTarget): Promise<Secrets> {
  const present = accepted.database(target.project, target.database)
  if (!present) return {}
  const waiting: Secrets[] = []
  // The operations first: if the Secret of one is gone, its secrets have been applied, and are read afterwards from the database's own.
  for (const { spec } of journal.unended(target)) {
    if (spec.secretName === undefined || spec.wanted === undefined) continue
    waiting.push(secretsIn(await readObject(cluster, pathOf(kinds.Secret, config.namespace, spec.secretName))))
  }
  const namespace = namespaceOf(target.project)
  const query = { labelSelector: `${label.database}=${target.database}` }
  const secrets = await unlessNamespaceGone(listObjects(cluster, kinds.Secret, { namespace, query }), () =>
    readObject(cluster, pathOf(kinds.Namespace, undefined, namespace)),
  )
  return Object.assign(readSecrets(target, present.spec, secrets ?? []), ...waiting)
}

/** The places whose given value differs from the present one. The time of the comparison reveals nothing about the values. */
export function differingSecrets(given: Secrets, present: Secrets): string[] {
  return Object.keys(given).filter((place) => {
    const is = present[place]
    return is === undefined || !timingSafeEqual(digest(given[place] ?? ''), digest(is))
  })
}

/** Hashed, so that values of different lengths can be compared in constant time. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
