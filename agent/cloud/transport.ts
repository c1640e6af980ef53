import { CloudFault } from './fault.ts'

/** A request to the cloud. */
export type Sent = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Below the origin of the cloud. */
  path: string
  headers: Record<string, string>
  body?: string | Buffer | undefined
}

/** An answer of the cloud, whatever its status. The body is bounded and not parsed. */
export type Received = { status: number; headers: Record<string, string | undefined>; body: string }

/** Carries requests to one cloud. */
export type Transport = {
  /** @throws CloudFault `unreachable`, `untrusted` or `garbled` (an answer that is too large or was cut) */
  send(sent: Sent, signal: AbortSignal): Promise<Received>
  /** Trusts these CA certificates (PEM) besides those of the system and of the configuration, from the next connection on. */
  trust(anchors: readonly string[]): void
  /** Fetches the trust document over a connection that nobody vouches for. Nothing secret is sent. @throws CloudFault as `send` */
  fetchTrust(signal: AbortSignal): Promise<string>
  close(): Promise<void>
}

/** Where the trust document is. */
export const trustPath = '/.well-known/skerry-trust.jws'

/** The most bytes of an answer. */
export const maxAnswerBytes = 512 * 1024

/** The content of an answer in JSON. @throws CloudFault `garbled` */
export function jsonOf({ headers, body, status }: Received): unknown {
  const type = headers['content-type'] ?? ''
  if (!/^application\/([\w.+-]+\+)?json\b/.test(type)) {
    throw new CloudFault(
      'garbled',
      `The cloud answered ${status} with ${type === '' ? 'no content type' : type.slice(0, 60)}, not with JSON.`,
    )
  }
  try {
    return JSON.parse(body)
  } catch (cause) {
    throw new CloudFault('garbled', `The cloud answered ${status} with JSON that is cut or damaged.`, { cause })
  }
}
