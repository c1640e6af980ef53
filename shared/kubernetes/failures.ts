import { type BodyFault, isProblem, Problem, type ProblemType } from '../errors.ts'
import { pointerTo } from '../json-pointer.ts'

/** The members of a Kubernetes `Status` that give the reason. */
type Status = {
  message?: string
  reason?: string
  code?: number
  details?: { name?: string; retryAfterSeconds?: number; causes?: { reason?: string; message?: string; field?: string }[] }
}

/** What Kubernetes writes for the field of a cause that concerns no single one: a nil path, printed (field.Path in k8s.io/apimachinery). */
const noField = '<nil>'

/**
 * The Problem of an unsuccessful response.
 *
 * @param what the request, such as `PATCH /api/v1/…`, for the detail
 */
export function problemOfAnswer(what: string, code: number, body: string, retryAfter?: string): Problem {
  const status = parseStatus(body)
  const type = typeOf(code, status)
  const faults: BodyFault[] =
    type === 'rejected-by-cluster'
      ? (status.details?.causes ?? []).map(({ field = '', message = '' }) => ({ path: pointerOf(field === noField ? '' : field), message }))
      : []
  const seconds = Number(retryAfter ?? status.details?.retryAfterSeconds)
  return new Problem(type, `${what}: ${status.message ?? `status ${code}`}`, {
    faults,
    ...(seconds > 0 ? { retryAfterSeconds: seconds } : {}),
  })
}

/** The response to a request for one object; undefined when the object does not exist. */
export async function unlessGone<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request
  } catch (error) {
    if (isProblem(error, 'not-found')) return undefined
    throw error
  }
}

/** As admission policies and webhooks refuse, the former with 403 if they say so, the latter with any status that they choose. */
const byAdmission = /\bdenied (the )?request\b/

function typeOf(code: number, { reason, message = '', details }: Status): ProblemType {
  const causes = details?.causes?.map((cause) => cause.reason) ?? []
  if (code === 403 && message.includes('exceeded quota')) return 'quota-exceeded'
  // The answer until the quota has been counted: it passes, and has nothing to do with permissions.
  if (code === 403 && message.includes('status unknown for quota')) return 'cluster-error'
  if (code === 403 && byAdmission.test(message)) return 'rejected-by-cluster'
  if (causes.includes('NamespaceTerminating')) return 'conflict'
  if (code === 401 || code === 403) return 'cluster-forbidden'
  // Only a 404 that names the object means that it does not exist. Up to Kubernetes 1.22, a starting server answers 404 for custom resources
  // until it has read their CRDs.
  if (code === 404) return details?.name === undefined ? 'not-served' : 'not-found'
  if (code === 409 && reason === 'AlreadyExists') return 'already-exists'
  if (code === 409 && causes.includes('FieldManagerConflict')) return 'field-conflict'
  if (code === 409) return 'conflict'
  if (code === 410) return 'gone'
  if (code === 429) return 'cluster-error'
  if (code >= 500) return code === 503 || code === 504 ? 'cluster-unreachable' : 'cluster-error'
  return code === 400 || code === 413 || code === 415 || code === 422 ? 'rejected-by-cluster' : 'cluster-error'
}

function parseStatus(body: string): Status {
  try {
    const parsed: unknown = JSON.parse(body)
    return parsed !== null && typeof parsed === 'object' ? (parsed as Status) : {}
  } catch {
    return {}
  }
}

/** `spec.nodes[0].name` as the JSON pointer `/spec/nodes/0/name`. */
function pointerOf(field: string): string {
  const steps = field.replace(/^\./, '').match(/[^.[\]]+/g) ?? []
  return pointerTo(steps)
}
