import { createHash, timingSafeEqual } from 'node:crypto'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { unlessGone } from '../../../shared/kubernetes/failures.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { type DatabaseTarget, readSecrets } from '../../resources/database-secrets.ts'
import { namespaceOf, type Secrets } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import type { AcceptedState } from '../accepted.ts'
import type { Journal } from '../journal.ts'

export type PresentSecretsParts = {
  accepted: AcceptedState
  journal: Pick<Journal, 'unended'>
  cluster: Cluster
  /** The agent's own, where operations keep their secrets. */
  namespace: string
}

/**
 * The secrets of a database as they were last accepted, by place: those that wait in operations go before those in its own
 * Secrets. Empty for a database that is not there. They are read for one request and not kept.
 */
export async function readPresentSecrets(parts: PresentSecretsParts, target: DatabaseTarget): Promise<Secrets> {
  const { accepted, journal, cluster, namespace } = parts
  const present = accepted.database(target.project, target.database)
  if (!present) return {}
  const waiting: Secrets[] = []
  // The operations first: one whose Secret is gone has been applied, so that what is read after it is what it brought.
  for (const { spec } of journal.unended(target)) {
    if (spec.secretName === undefined || spec.wanted === undefined) continue
    const path = pathOf(kinds.Secret, namespace, spec.secretName)
    const secret = await unlessGone(cluster.request<KubernetesObject>({ method: 'GET', path }))
    waiting.push(textsOf(secret))
  }
  const { items = [] } =
    (await unlessGone(
      cluster.request<{ items: KubernetesObject[] }>({
        method: 'GET',
        path: pathOf(kinds.Secret, namespaceOf(target.project)),
        query: { labelSelector: `${label.database}=${target.database}` },
      }),
    )) ?? {}
  const secrets = items.map((item) => ({ ...item, kind: 'Secret' }))
  return Object.assign(readSecrets(target, present.spec, secrets), ...waiting)
}

/** The places at which another value is given than is present. The time it takes tells nothing about the values. */
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

function textsOf(secret: KubernetesObject | undefined): Secrets {
  const entries = Object.entries((secret?.data ?? {}) as Record<string, string>)
  return Object.fromEntries(entries.map(([place, value]) => [place, Buffer.from(value, 'base64').toString('utf8')]))
}
