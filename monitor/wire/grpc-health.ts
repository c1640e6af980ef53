import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type IncomingHttpHeaders } from 'node:http2'
import type { Socket } from 'node:net'
import { asError } from './socket.ts'

/** What a server said about a service. */
export type GrpcHealth = {
  /** gRPC status of the call (grpc's doc/statuscodes.md): 0 is OK. */
  code: number
  /** What the server says of the service, if the code is 0. */
  serving?: ServingStatus
  /** The message that came with another code, or what was wrong with the answer. For people. */
  detail: string
}

/** `ServingStatus` of grpc.health.v1, in the order of its numbers. */
export const servingStatuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const

/** What a server says of a service. */
type ServingStatus = (typeof servingStatuses)[number]

/** The gRPC status codes that a client sets by itself. */
export const grpcCodes = {
  cancelled: 1,
  unknown: 2,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const

/** An answer has two bytes. A larger one is another service's. */
const maxBytes = 64 * 1024

/**
 * Asks `grpc.health.v1.Health/Check` over a connection of its own, by HTTP/2 alone: the messages have one field each. What is wrong with the
 * answer is a status code, as grpc-go 1.82 gives it.
 * @param socket an open connection, with TLS if there is any; this function ends the HTTP/2 session, and the caller destroys the socket
 * @throws the signal's reason
 */
export function askHealth(
  socket: Socket,
  {
    authority,
    secure,
    service,
    metadata,
    signal,
  }: { authority: string; secure: boolean; service: string; metadata: Readonly<Record<string, readonly string[]>>; signal: AbortSignal },
): Promise<GrpcHealth> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(asError(signal.reason))
    const session = connect(`${secure ? 'https' : 'http'}://${authority}`, { createConnection: () => socket })
    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', onAbort)
      session.destroy()
      settle()
    }
    const onAbort = () => finish(() => reject(asError(signal.reason)))
    const lost = (error?: Error) => finish(() => resolve(failed(grpcCodes.unavailable, error?.message ?? 'the connection was closed')))
    signal.addEventListener('abort', onAbort, { once: true })
    session.on('error', lost).on('close', () => lost())
    ask(session, { authority, secure, service, metadata }, (health) => finish(() => resolve(health)))
  })
}

type Call = { authority: string; secure: boolean; service: string; metadata: Readonly<Record<string, readonly string[]>> }

function ask(session: ClientHttp2Session, { authority, secure, service, metadata }: Call, done: (health: GrpcHealth) => void): void {
  const stream = session.request({
    ':method': 'POST',
    ':scheme': secure ? 'https' : 'http',
    ':path': '/grpc.health.v1.Health/Check',
    ':authority': authority,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...Object.fromEntries(Object.entries(metadata).map(([name, values]) => [name, values.map((value) => metadataText(name, value))])),
  })
  const read: Buffer[] = []
  let size = 0
  let fault: GrpcHealth | undefined
  let end: IncomingHttpHeaders | undefined
  stream.on('response', (headers) => {
    fault = faultOf(headers)
    // An answer without a body has its status here.
    if (headers['grpc-status'] !== undefined) end = headers
  })
  stream.on('trailers', (headers) => {
    end = headers
  })
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size <= maxBytes) read.push(chunk)
    else done(failed(grpcCodes.resourceExhausted, `the answer is larger than ${maxBytes} bytes`))
  })
  stream.on('error', () => {}) // its close follows
  stream.on('close', () => {
    // The end of a connection closes its streams, too, as if they were cancelled here.
    const lost = session.destroyed && end === undefined ? failed(grpcCodes.unavailable, 'the connection was closed') : undefined
    done(fault ?? lost ?? outcomeOf(stream, end, Buffer.concat(read)))
  })
  stream.end(framed(requestOf(service)))
}

/** A value of metadata. Names that end with `-bin` carry Base64 (grpc's doc/PROTOCOL-HTTP2.md). */
function metadataText(name: string, value: string): string {
  return name.endsWith('-bin') ? Buffer.from(value).toString('base64').replace(/=+$/, '') : value
}

/** HealthCheckRequest: field 1 is the service. Without a service, the message is empty. */
function requestOf(service: string): Buffer {
  if (service === '') return Buffer.alloc(0)
  const text = Buffer.from(service)
  const length = text.length < 128 ? [text.length] : [(text.length & 127) | 128, text.length >> 7]
  return Buffer.concat([Buffer.from([0x0a, ...length]), text])
}

/** A message with its prefix: not compressed, and its length. */
function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

/** What HTTP says of the call when the answer is not gRPC (grpc's doc/http-grpc-status-mapping.md); undefined if it is. */
function faultOf(headers: IncomingHttpHeaders): GrpcHealth | undefined {
  const status = Number(headers[':status'])
  const type = String(headers['content-type'] ?? '')
  if (status === 200 && /^application\/grpc($|[+;])/.test(type)) return undefined
  const code = codesByStatus[status] ?? grpcCodes.unknown
  return failed(code, `the answer is not gRPC: status ${status}, content type ${JSON.stringify(type.slice(0, 100))}`)
}

const codesByStatus: Readonly<Record<number, number>> = {
  400: grpcCodes.internal,
  401: grpcCodes.unauthenticated,
  403: grpcCodes.permissionDenied,
  404: grpcCodes.unimplemented,
  429: grpcCodes.unavailable,
  502: grpcCodes.unavailable,
  503: grpcCodes.unavailable,
  504: grpcCodes.unavailable,
}

function outcomeOf(stream: ClientHttp2Stream, end: IncomingHttpHeaders | undefined, body: Buffer): GrpcHealth {
  const status = end?.['grpc-status']
  if (status === undefined) {
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR)
      return failed(resetCodes[stream.rstCode] ?? grpcCodes.unknown, 'the server reset the call')
    return failed(grpcCodes.internal, 'the server ended the call without a status')
  }
  const code = /^\d{1,4}$/.test(String(status)) ? Number(status) : grpcCodes.internal
  if (code !== 0) return failed(code, messageText(end?.['grpc-message']))
  const message = messageOf(body)
  const serving = message === undefined ? undefined : servingOf(message)
  if (serving === undefined) return failed(grpcCodes.internal, 'the answer is not a health status')
  return { code: 0, serving, detail: serving }
}

/** Codes of RST_STREAM (RFC 9113, section 7), as grpc-go translates them. */
const resetCodes: Readonly<Record<number, number>> = {
  [constants.NGHTTP2_PROTOCOL_ERROR]: grpcCodes.internal,
  [constants.NGHTTP2_INTERNAL_ERROR]: grpcCodes.internal,
  [constants.NGHTTP2_FLOW_CONTROL_ERROR]: grpcCodes.resourceExhausted,
  [constants.NGHTTP2_SETTINGS_TIMEOUT]: grpcCodes.internal,
  [constants.NGHTTP2_STREAM_CLOSED]: grpcCodes.internal,
  [constants.NGHTTP2_FRAME_SIZE_ERROR]: grpcCodes.internal,
  [constants.NGHTTP2_REFUSED_STREAM]: grpcCodes.unavailable,
  [constants.NGHTTP2_CANCEL]: grpcCodes.cancelled,
  [constants.NGHTTP2_COMPRESSION_ERROR]: grpcCodes.internal,
  [constants.NGHTTP2_CONNECT_ERROR]: grpcCodes.internal,
  [constants.NGHTTP2_ENHANCE_YOUR_CALM]: grpcCodes.resourceExhausted,
  [constants.NGHTTP2_INADEQUATE_SECURITY]: grpcCodes.permissionDenied,
  [constants.NGHTTP2_HTTP_1_1_REQUIRED]: grpcCodes.internal,
}

/** The one message of a body; undefined if there is none, more than one, or a compressed one, which was not asked for. */
function messageOf(body: Buffer): Buffer | undefined {
  if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) return undefined
  return body.subarray(5)
}

/** HealthCheckResponse: field 1 is the status. Without it, the status is 0; other fields are skipped. */
function servingOf(message: Buffer): ServingStatus | undefined {
  let at = 0
  let status = 0
  const varint = (): number | undefined => {
    let value = 0
    for (let shift = 0; at < message.length && shift < 70; shift += 7) {
      const byte = message[at++] as number
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value
    }
    return undefined
  }
  while (at < message.length) {
    const tag = varint()
    if (tag === undefined || tag < 8) return undefined
    const value = skipOrRead(tag & 7)
    if (value === undefined || at > message.length) return undefined
    if (tag === 8) status = value
  }
  return servingStatuses[status]

  function skipOrRead(wireType: number): number | undefined {
    if (wireType === 0) return varint()
    const length = wireType === 1 ? 8 : wireType === 5 ? 4 : wireType === 2 ? varint() : undefined
    if (length !== undefined) at += length
    return length
  }
}

function messageText(text: unknown): string {
  const given = String(text ?? '').slice(0, 200)
  try {
    return decodeURIComponent(given)
  } catch {
    return given
  }
}

function failed(code: number, detail: string): GrpcHealth {
  return { code, detail }
}
