import * as z from 'zod'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'

const requirement = z.looseObject({
  key: z.string().max(317),
  operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt']),
  values: z.array(z.string().max(253)).max(1_000).optional(),
})

const term = z.looseObject({
  matchExpressions: z.array(requirement).max(100).optional(),
  matchFields: z.array(requirement).max(100).optional(),
})

/** The node affinity of a PersistentVolume: it can be used on nodes that fulfil one of these terms. */
export const volumeNodeAffinity = z.looseObject({
  required: z.looseObject({ nodeSelectorTerms: z.array(term).min(1).max(100) }).optional(),
})

type NodeAffinity = z.infer<typeof volumeNodeAffinity>
type Requirement = z.infer<typeof requirement>

/** Whether a volume with this affinity can be used on the node. */
export function fitsNode({ required }: NodeAffinity, { metadata }: KubernetesObject): boolean {
  if (!required) return true
  const label = (key: string) => metadata.labels?.[key]
  const field = (key: string) => (key === 'metadata.name' ? metadata.name : undefined)
  return required.nodeSelectorTerms.some(
    ({ matchExpressions = [], matchFields = [] }) =>
      // A term without requirements matches nothing.
      matchExpressions.length + matchFields.length > 0 &&
      matchExpressions.every((each) => fulfils(each, label(each.key))) &&
      matchFields.every((each) => fulfils(each, field(each.key))),
  )
}

function fulfils({ operator, values = [] }: Requirement, value: string | undefined): boolean {
  if (operator === 'Exists') return value !== undefined
  if (operator === 'DoesNotExist') return value === undefined
  if (operator === 'NotIn') return value === undefined || !values.includes(value)
  if (value === undefined) return false
  if (operator === 'In') return values.includes(value)
  const [is, bound] = [Number(value), Number(values[0])]
  return operator === 'Gt' ? is > bound : is < bound
}

/** The values that it lists and no node has: names of hosts and zones of another cluster, each once. */
export function foreignValues({ required }: NodeAffinity, nodes: readonly KubernetesObject[]): string[] {
  const all = (required?.nodeSelectorTerms ?? []).flatMap(({ matchExpressions = [], matchFields = [] }) => [
    ...matchExpressions,
    ...matchFields,
  ])
  const has = (key: string, value: string) =>
    nodes.some(({ metadata }) => metadata.labels?.[key] === value || (key === 'metadata.name' && metadata.name === value))
  const foreign = all.flatMap(({ key, operator, values = [] }) => (operator === 'In' ? values.filter((value) => !has(key, value)) : []))
  return [...new Set(foreign)]
}

/** The same affinity, with other names for hosts and zones. @param names the new name, by the old one */
export function renamed<Affinity extends NodeAffinity>(affinity: Affinity, names: ReadonlyMap<string, string>): Affinity {
  const of = (all: Requirement[]) =>
    all.map((each) => ({ ...each, ...(each.values && { values: each.values.map((value) => names.get(value) ?? value) }) }))
  if (!affinity.required) return affinity
  const nodeSelectorTerms = affinity.required.nodeSelectorTerms.map(({ matchExpressions, matchFields, ...rest }) => ({
    ...rest,
    ...(matchExpressions && { matchExpressions: of(matchExpressions) }),
    ...(matchFields && { matchFields: of(matchFields) }),
  }))
  return { ...affinity, required: { ...affinity.required, nodeSelectorTerms } }
}
