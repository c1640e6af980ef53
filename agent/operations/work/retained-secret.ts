import { isDeepStrictEqual } from 'node:util'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { isOwnedBy, nextSecretName } from '../../resources/retained-record.ts'
import type { WorkContext } from './context.ts'

type Context = Pick<WorkContext, 'cluster'>

/**
 * Keeps the Secrets of a deleted database, besides those that an attempt before this one has kept. The agent may create and delete Secrets in
 * its own namespace, not change them, and some of these may be nowhere else by now: the new content stands under a second name before the old
 * one goes. It may be interrupted at each write and called again.
 *
 * @param wanted as `retainedSecret` makes it
 */
export async function keepSecrets(context: Context, wanted: KubernetesObject): Promise<void> {
  const { cluster } = context
  const { name, namespace = '', ownerReferences } = wanted.metadata
  const isOfRecord = (secret: KubernetesObject) => isOwnedBy(secret, ownerReferences?.[0]?.uid)
  const next = { ...wanted, metadata: { ...wanted.metadata, name: nextSecretName(name) } }
  const [standing, coming] = await Promise.all(
    [name, next.metadata.name].map((each) => cluster.read({ kind: 'Secret', namespace, name: each })),
  )
  if (coming && !isOfRecord(coming)) await cluster.remove(coming)
  const kept = coming && isOfRecord(coming) ? await replace(context, standing, coming, wanted) : standing
  const before = kept && isOfRecord(kept) ? kept.data : undefined
  const data = { ...before, ...wanted.data }
  if (before && isDeepStrictEqual(before, data)) return
  if (kept) await replace(context, kept, await cluster.create({ ...next, data }), wanted)
  else await cluster.create({ ...wanted, data })
}

/** Gives the content of one Secret the name of the other. Only then the one goes. */
async function replace(
  { cluster }: Context,
  standing: KubernetesObject | undefined,
  coming: KubernetesObject,
  wanted: KubernetesObject,
): Promise<KubernetesObject> {
  if (standing) await cluster.remove(standing)
  const replaced = await cluster.create({ ...wanted, data: coming.data })
  await cluster.remove(coming)
  return replaced
}
