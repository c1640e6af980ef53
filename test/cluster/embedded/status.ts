/** One fault of a request, as in `Status.details.causes`. `field` is a path such as `spec.nodes.data[0].name`. */
export type Cause = { reason: string; message: string; field: string }

export type StatusDetails = {
  name?: string
  group?: string
  kind?: string
  uid?: string
  causes?: Cause[]
  retryAfterSeconds?: number
}

/** A Kubernetes `Status` as an error: thrown anywhere, sent by the server. */
export class ApiError extends Error {
  readonly code: number
  readonly reason: string
  readonly details: StatusDetails | undefined

  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message)
    this.code = code
    this.reason = reason
    this.details = details
  }

  /** The document that is sent, also inside an ERROR event of a watch. */
  status(): Record<string, unknown> {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details ? { details: this.details } : {}),
      code: this.code,
    }
  }
}

/** The names of a resource in errors. */
export type Named = { group: string; plural: string; kind: string }

const qualified = (type: Named): string => (type.group ? `${type.plural}.${type.group}` : type.plural)
const detailsOf = (type: Named, name: string): StatusDetails => ({
  ...(name ? { name } : {}),
  ...(type.group ? { group: type.group } : {}),
  kind: type.plural,
})

export const notFound = (type: Named, name: string): ApiError =>
  new ApiError(404, 'NotFound', `${qualified(type)} "${name}" not found`, detailsOf(type, name))

/** The answer to a path without a resource. */
export const noSuchPath = (): ApiError => new ApiError(404, 'NotFound', 'the server could not find the requested resource', {})

export const alreadyExists = (type: Named, name: string): ApiError =>
  new ApiError(409, 'AlreadyExists', `${qualified(type)} "${name}" already exists`, detailsOf(type, name))

export const conflict = (type: Named, name: string, message: string): ApiError =>
  new ApiError(409, 'Conflict', `Operation cannot be fulfilled on ${qualified(type)} "${name}": ${message}`, detailsOf(type, name))

export const modified = (type: Named, name: string): ApiError =>
  conflict(type, name, 'the object has been modified; please apply your changes to the latest version and try again')

export const forbidden = (type: Named, name: string, message: string, causes?: Cause[]): ApiError =>
  new ApiError(403, 'Forbidden', `${qualified(type)}${name ? ` "${name}"` : ''} is forbidden: ${message}`, {
    ...detailsOf(type, name),
    ...(causes ? { causes } : {}),
  })

/** 422 with every fault, in the words of apimachinery's `field.ErrorList`. */
export function invalid(type: Pick<Named, 'group' | 'kind'>, name: string, causes: Cause[]): ApiError {
  const texts = [...new Set(causes.map((cause) => `${cause.field}: ${cause.message}`))]
  const list = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`
  const kind = type.group ? `${type.kind}.${type.group}` : type.kind
  return new ApiError(422, 'Invalid', `${kind} "${name}" is invalid: ${list}`, {
    name,
    ...(type.group ? { group: type.group } : {}),
    kind: type.kind,
    causes,
  })
}

export const badRequest = (message: string): ApiError => new ApiError(400, 'BadRequest', message)

export const unauthorized = (): ApiError => new ApiError(401, 'Unauthorized', 'Unauthorized')

export const methodNotAllowed = (): ApiError =>
  new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {})

export const unsupportedMediaType = (accepted: string[]): ApiError =>
  new ApiError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
    {},
  )

export const notAcceptable = (): ApiError =>
  new ApiError(406, 'NotAcceptable', 'only the following media types are accepted: application/json, application/yaml', {})

export const internal = (message: string): ApiError =>
  new ApiError(500, 'InternalError', `Internal error occurred: ${message}`, { causes: [{ reason: '', message, field: '' }] })

/** The history is forgotten: the client has to list again. */
export const expired = (message: string): ApiError => new ApiError(410, 'Expired', message)

/** Quotes a value as `field.Invalid` prints it. */
const quote = (value: unknown): string => JSON.stringify(value) ?? 'null'

/** The causes of apimachinery's `field` package, by its own names. */
export const cause = {
  required: (field: string, detail = ''): Cause => ({
    reason: 'FieldValueRequired',
    message: detail ? `Required value: ${detail}` : 'Required value',
    field,
  }),
  invalid: (field: string, value: unknown, detail: string): Cause => ({
    reason: 'FieldValueInvalid',
    message: `Invalid value: ${quote(value)}: ${detail}`,
    field,
  }),
  notSupported: (field: string, value: unknown, supported: unknown[]): Cause => ({
    reason: 'FieldValueNotSupported',
    message: `Unsupported value: ${quote(value)}: supported values: ${supported.map(quote).join(', ')}`,
    field,
  }),
  forbidden: (field: string, detail: string): Cause => ({ reason: 'FieldValueForbidden', message: `Forbidden: ${detail}`, field }),
  duplicate: (field: string, value: unknown): Cause => ({
    reason: 'FieldValueDuplicate',
    message: `Duplicate value: ${quote(value)}`,
    field,
  }),
}
