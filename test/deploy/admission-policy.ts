import { type CelInput, isCelError, run } from '@bufbuild/cel'
import { strings } from '@bufbuild/cel/ext'
import type { Manifest } from './helm.ts'

/** A request to delete an object, as an API server puts it to a ValidatingAdmissionPolicy. */
export type Deletion = {
  username: string
  /** The plural, as in the path of the request. */
  resource: string
  /** The object as it is; a deletion has no new one. */
  oldObject: Manifest
  /** Of a collection each object comes by itself, and the request names none. */
  isCollection?: boolean
}

/** The most that a message may have, in bytes; of a longer one an API server shows none (MaxEvaluatedMessageExpressionSizeBytes). */
const longestMessage = 5 * 1024

/**
 * What a ValidatingAdmissionPolicy says to a deletion: the message with which it refuses, or undefined when it lets it pass. What an API
 * server evaluates only when it is needed, such as a variable, is evaluated in any case.
 *
 * @throws Error when any of its expressions errs or has no value of its type: an API server would refuse the request then, with a message
 *   that nobody understands
 */
export function refusal(policy: Manifest, { username, resource, oldObject, isCollection = false }: Deletion): string | undefined {
  const { matchConstraints, matchConditions, variables, validations } = policy.spec
  const [version = '', group = ''] = oldObject.apiVersion.split('/').reverse()
  const isMatched = matchConstraints.resourceRules.some(
    (rule: Manifest) =>
      rule.operations.includes('DELETE') &&
      rule.apiGroups.includes(group) &&
      rule.resources.includes(resource) &&
      ['*', version].some((each) => rule.apiVersions.includes(each)),
  )
  if (!isMatched) return undefined

  const { name, namespace } = oldObject.metadata
  const given = {
    object: null,
    oldObject,
    request: {
      kind: { group, version, kind: oldObject.kind },
      resource: { group, version, resource },
      ...(!isCollection && { name }),
      // That of a namespace is its own.
      ...((namespace ?? (resource === 'namespaces' && name)) && { namespace: namespace ?? name }),
      operation: 'DELETE',
      userInfo: { username, groups: ['system:authenticated'] },
      options: { apiVersion: 'meta.k8s.io/v1', kind: 'DeleteOptions' },
      dryRun: false,
    },
  }
  const bindings = new Map(Object.entries(given).map(([key, value]) => [key, celInput(value)]))
  const known = new Map<string, CelInput>()
  bindings.set('variables', known)
  const evaluate = (expression: string, type: 'boolean' | 'string' | undefined): CelInput => {
    const value = run(expression, Object.fromEntries(bindings), { funcs: strings })
    if (isCelError(value)) throw new Error(`${expression}: ${value.message}`)
    if (type && typeof value !== type) throw new Error(`${expression}: is no ${type}`)
    return value as CelInput
  }

  const conditions = matchConditions.map(({ expression }: Manifest) => evaluate(expression, 'boolean'))
  for (const variable of variables) known.set(variable.name, evaluate(variable.expression, undefined))
  const refusals = validations.map(({ expression, messageExpression }: Manifest) => {
    const message = evaluate(messageExpression, 'string') as string
    if (message.includes('\n') || Buffer.byteLength(message) > longestMessage) throw new Error(`is not shown as a message: ${message}`)
    return evaluate(expression, 'boolean') ? undefined : message
  })
  return conditions.includes(false) ? undefined : refusals.find((message: string | undefined) => message !== undefined)
}

/** JSON as CEL knows it: whole numbers are of another type than others, and objects are maps. */
function celInput(value: unknown): CelInput {
  if (Array.isArray(value)) return value.map(celInput)
  if (typeof value === 'object' && value !== null) return new Map(Object.entries(value).map(([key, each]) => [key, celInput(each)]))
  return (Number.isInteger(value) ? BigInt(value as number) : value) as CelInput
}
