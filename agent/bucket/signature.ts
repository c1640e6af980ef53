import { createHash, createHmac } from 'node:crypto'
import { encodePart } from './address.ts'

/** What is signed. */
export type Signable = {
  method: string
  /** Encoded by `encodeKey`. */
  path: string
  query: readonly (readonly [name: string, value: string])[]
  /** All that are signed, with names in lower case: `host`, `x-amz-date` and `x-amz-content-sha256` among them. */
  headers: Readonly<Record<string, string>>
}

/** Who signs, and for which region. */
export type Signer = { accessKeyId: string; secretAccessKey: string; region: string }

/**
 * The header `Authorization` of AWS Signature Version 4, for the service s3:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function authorization({ method, path, query, headers }: Signable, { accessKeyId, secretAccessKey, region }: Signer): string {
  const names = Object.keys(headers).sort()
  const signedHeaders = names.join(';')
  const canonical = [
    method,
    path,
    queryString(query),
    ...names.map((name) => `${name}:${headers[name]?.trim().replace(/ +/g, ' ')}`),
    '',
    signedHeaders,
    headers['x-amz-content-sha256'],
  ].join('\n')
  const at = headers['x-amz-date'] ?? ''
  const scope = [at.slice(0, 8), region, 's3', 'aws4_request']
  const toSign = ['AWS4-HMAC-SHA256', at, scope.join('/'), sha256(canonical)].join('\n')
  const key = scope.reduce<string | Buffer>((secret, part) => hmac(secret, part), `AWS4${secretAccessKey}`)
  const signature = hmac(key, toSign).toString('hex')
  return `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope.join('/')},SignedHeaders=${signedHeaders},Signature=${signature}`
}

/** A query in the order and the form in which it is signed. */
export function queryString(query: Signable['query']): string {
  const pairs = query.map(([name, value]) => `${encodePart(name)}=${encodePart(value)}`)
  return pairs.sort().join('&')
}

/** A moment as the signature has it: `20261130T114500Z`. @param at Unix ms */
export function signedDate(at: number): string {
  return new Date(at).toISOString().replace(/[-:]|\.\d+/g, '')
}

/** SHA-256 in hexadecimal. */
export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

function hmac(key: string | Buffer, content: string): Buffer {
  return createHmac('sha256', key).update(content).digest()
}
