import { mkdtemp, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Signed } from './certificates.ts'

/**
 * An S3 store that nobody of this house has written: https://github.com/20minutes/s3rver 5.0.0. It verifies signatures, and keeps its objects in
 * files. Unlike S3 it takes any time of a request (its check compares a Date with NaN), escapes keys twice in a list, knows no `encoding-type`,
 * and answers 500 when there is more than a list may have: OpenSSL 3 has not the cipher of its tokens.
 */
export type S3Peer = {
  url: string
  port: number
  bucket: string
  /** The only key that it knows. */
  accessKeyId: string
  secretAccessKey: string
}

/** The parts of s3rver that are used here: it brings no types. */
type S3rver = new (options: Record<string, unknown>) => { run(): Promise<AddressInfo>; close(): Promise<void>; httpServer: Server }

/**
 * Starts it on loopback, with one empty bucket.
 * @param certificate with it, the store has TLS
 * @param virtualHosts buckets are found before `s3.harbour.example` too; it then accepts every signature, since the path that it computes one
 *   for has the bucket in it, as version 2 of the signature has
 */
export async function startS3(
  t: TestContext,
  { certificate, virtualHosts = false }: { certificate?: Signed; virtualHosts?: boolean } = {},
): Promise<S3Peer> {
  const require = createRequire(import.meta.url)
  const Store = require('@20minutes/s3rver') as S3rver
  const directory = await mkdtemp(join(tmpdir(), 'skerry-s3-'))
  const bucket = 'harbour-snapshots'
  const store = new Store({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory,
    serviceEndpoint: 'harbour.example',
    allowMismatchedSignatures: virtualHosts,
    configureBuckets: [{ name: bucket }],
    ...(certificate && { cert: certificate.cert, key: certificate.key }),
  })
  const { port } = await store.run()
  t.after(async () => {
    store.httpServer.closeAllConnections()
    await store.close()
    await rm(directory, { recursive: true })
  })
  const url = `${certificate ? 'https' : 'http'}://127.0.0.1:${port}`
  return { url, port, bucket, accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }
}
