import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'

type Requirement = { key: string; operator: string; values?: string[] }
type Term = { matchExpressions?: Requirement[]; matchFields?: Requirement[] }

/**
 * The hosts that a volume can only be used on, if none of them is in the cluster: `kubernetes.io/hostname in (edge-2)`. Undefined if there is
 * one, or if it can be used on any.
 *
 * As the scheduler reads `spec.nodeAffinity.required`: one of the terms must hold, with all of its requirements; an empty term holds nowhere.
 */
export function missingHosts({ spec }: KubernetesObject, nodes: readonly KubernetesObject[]): string | undefined {
  const terms: Term[] | undefined = spec?.nodeAffinity?.required?.nodeSelectorTerms
  if (!Array.isArray(terms) || nodes.some((node) => terms.some((term) => holds(term, node)))) return undefined
  return terms.map(described).join(' or ')
}

function holds({ matchExpressions = [], matchFields = [] }: Term, { metadata }: KubernetesObject): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false
  return (
    matchExpressions.every((requirement) => fits(requirement, metadata.labels?.[requirement.key])) &&
    matchFields.every((requirement) => requirement.key === 'metadata.name' && fits(requirement, metadata.name))
  )
}

function fits({ operator, values = [] }: Requirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    case 'Gt':
      return Number(value) > Number(values[0])
    case 'Lt':
      return Number(value) < Number(values[0])
    default:
      return false
  }
}

function described({ matchExpressions = [], matchFields = [] }: Term): string {
  const all = [...matchExpressions, ...matchFields]
  return all.map(({ key, operator, values = [] }) => `${key} ${operator.toLowerCase()} (${values.join(', ')})`).join(' and ') || 'nowhere'
}
