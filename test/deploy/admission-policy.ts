import { type CelInput, celEnv, isCelError, parse, plan } from '@bufbuild/cel'
import { strings } from '@bufbuild/cel/ext'
import type { Manifest } from './helm.ts'

/** A request about an object, as an API server puts it to a ValidatingAdmissionPolicy. */
export type Review = {
  operation: 'CREATE' | 'UPDATE' | 'DELETE'
  username: string
  /** The plural, as in the path of the request. */
  resource: string
  /** The object as it is to be; a deletion has none. */
  object?: Manifest
  /** The object as it is; a creation has none. */
  oldObject?: Manifest
  /** Of a collection each object comes by itself, and the request names none. */
  isCollection?: boolean
}

/** A request to delete an object. */
export type Deletion = Omit<Review, 'operation' | 'object'> & { oldObject: Manifest }

/** The most that a message may have, in bytes; of a longer one an API server shows none (MaxEvaluatedMessageExpressionSizeBytes). */
const longestMessage = 5 * 1024

/** As `refusalOf`, for a deletion. */
export function refusal(policy: Manifest, deletion: Deletion): string | undefined {
  return refusalOf(policy, { ...deletion, operation: 'DELETE' })
}

/**
 * What a ValidatingAdmissionPolicy says to a request: the message with which it refuses, or undefined when it lets it pass. What an API
 * server evaluates only when it is needed, such as a variable, is evaluated in any case.
 *
 * @throws Error when any of its expressions errs or has no value of its type: an API server would refuse the request then, with a message
 *   that nobody understands
 */
export function refusalOf(policy: Manifest, review: Review): string | undefined {
  const { operation, username, resource, object = null, oldObject = null, isCollection = false } = review
  const { matchConstraints, matchConditions, variables, validations } = policy.spec
  const about: Manifest = object ?? oldObject
  const [version = '', group = ''] = about.apiVersion.split('/').reverse()
  const isMatched = matchConstraints.resourceRules.some(
    (rule: Manifest) =>
      rule.operations.includes(operation) &&
      rule.apiGroups.includes(group) &&
      rule.resources.includes(resource) &&
      ['*', version].some((each) => rule.apiVersions.includes(each)),
  )
  if (!isMatched) return undefined

  const { name, namespace } = about.metadata
  const given = {
    object,
    oldObject,
    request: {
      kind: { group, version, kind: about.kind },
      resource: { group, version, resource },
      ...(!isCollection && { name }),
      // That of a namespace is its own.
      ...((namespace ?? (resource === 'namespaces' && name)) && { namespace: namespace ?? name }),
      operation,
      userInfo: { username, groups: ['system:authenticated'] },
      dryRun: false,
    },
  }
  const bindings = new Map(Object.entries(given).map(([key, value]) => [key, celInput(value)]))
  const known = new Map<string, CelInput>()
  bindings.set('variables', known)
  const evaluate = (expression: string, type: 'boolean' | 'string' | undefined): CelInput => {
    const value = programOf(expression)(Object.fromEntries(bindings))
    if (isCelError(value)) throw new Error(`${expression}: ${value.message}`)
    if (type && typeof value !== type) throw new Error(`${expression}: is no ${type}`)
    return value as CelInput
  }

  const conditions = matchConditions.map(({ expression }: Manifest) => evaluate(expression, 'boolean'))
  for (const variable of variables) known.set(variable.name, evaluate(variable.expression, undefined))
  const refusals = validations.map(({ expression, messageExpression, message: fixed }: Manifest) => {
    const message = messageExpression === undefined ? fixed : (evaluate(messageExpression, 'string') as string)
    if (message.includes('\n') || Buffer.byteLength(message) > longestMessage) throw new Error(`is not shown as a message: ${message}`)
    return evaluate(expression, 'boolean') ? undefined : message
  })
  return conditions.includes(false) ? undefined : refusals.find((message: string | undefined) => message !== undefined)
}

const env = celEnv({ funcs: strings })
/** Planned expressions: to parse the policy's takes a tenth of a second, and each request is put to all of them. */
const programs = new Map<string, ReturnType<typeof plan>>()

function programOf(expression: string): ReturnType<typeof plan> {
  const known = programs.get(expression) ?? plan(env, parse(expression))
  programs.set(expression, known)
  return known
}

/** JSON as CEL knows it: whole numbers are of another type than others, and objects are maps. */
function celInput(value: unknown): CelInput {
  if (Array.isArray(value)) return value.map(celInput)
  if (typeof value === 'object' && value !== null) return new Map(Object.entries(value).map(([key, each]) => [key, celInput(each)]))
  return (Number.isInteger(value) ? BigInt(value as number) : value) as CelInput
}
