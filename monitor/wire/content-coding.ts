import type { Transform } from 'node:stream'
import {
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
  type ZlibOptions,
  constants as zlib,
} from 'node:zlib'
import { GrowingBuffer } from './growing-buffer.ts'
import { CheckFailure } from './reasons.ts'
import { asError, defaultMaxBytes } from './socket.ts'
import { shorten } from './wording.ts'

/** How a body is decoded. */
type Decoding = {
  /** The most bytes of the decoded body; 1 MiB by default. */
  maxBytes?: number | undefined
  /** Whether a longer body is cut. By default it fails with `too_large`. */
  cut?: boolean | undefined
  /** Whether the coded body is only the beginning of what was sent. One that ends early otherwise fails. */
  isPart?: boolean | undefined
  signal: AbortSignal
}

/**
 * The most codings of one body, as in `Content-Encoding: br, gzip`. Servers apply one, and a proxy may add another.
 * Each coding is decoded by itself and to its bound, so that a body within a body costs no more than two.
 */
const maxCodings = 2

/** The codings of RFC 9110, section 8.4.1, with those of RFC 7932 and RFC 8878. `x-gzip` is an old name that still counts. */
const decoders: Record<string, (coded: Buffer, isPart: boolean) => Transform> = {
  gzip: (_coded, isPart) => createGunzip(ending(isPart)),
  'x-gzip': (_coded, isPart) => createGunzip(ending(isPart)),
  // Some servers send bare deflate instead of the zlib format that the name stands for.
  deflate: (coded, isPart) => (hasZlibHeader(coded) ? createInflate(ending(isPart)) : createInflateRaw(ending(isPart))),
  br: (_coded, isPart) => createBrotliDecompress(isPart ? { finishFlush: zlib.BROTLI_OPERATION_FLUSH } : {}),
  zstd: (_coded, isPart) => createZstdDecompress(isPart ? { finishFlush: zlib.ZSTD_e_flush } : {}),
}

/**
 * A body without its content codings: gzip, deflate, br and zstd. Memory and output are bounded, whatever the body expands to, and the
 * work is done outside of the event loop.
 *
 * @param contentEncoding the header field, as in `gzip` or `br, gzip`; undefined for a body as it is
 * @throws CheckFailure `protocol` for a coding that is unknown or violated, `too_large`; the signal's reason
 */
export async function decoded(body: Buffer, contentEncoding: string | undefined, { isPart = false, ...given }: Decoding): Promise<Buffer> {
  const codings = codingsIn(contentEncoding)
  if (codings.length > maxCodings) throw new CheckFailure('protocol', `The body has ${codings.length} content codings, one within another.`)
  let found = body
  let part = isPart
  // The last one was applied last.
  for (const coding of codings.reverse()) {
    // An answer to HEAD, and one with status 304, has the field and no body.
    if (found.length === 0) return found
    const whole = await decodeOne(found, coding, { ...given, isPart: part })
    part ||= whole.isCut
    found = whole.bytes
  }
  return found
}

function codingsIn(contentEncoding = ''): string[] {
  return contentEncoding
    .split(',')
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity')
}

function decodeOne(
  coded: Buffer,
  coding: string,
  { maxBytes = defaultMaxBytes, cut = false, isPart = false, signal }: Decoding,
): Promise<{ bytes: Buffer; isCut: boolean }> {
  return new Promise((resolve, reject) => {
    if (!Object.hasOwn(decoders, coding))
      return reject(
        new CheckFailure(
          'protocol',
          `The body is in the content coding ${shorten(coding, 40)}, which the monitor cannot read. Let the server send gzip or none.`,
        ),
      )
    const decoder = (decoders[coding] as (typeof decoders)[string])(coded, isPart)
    const read = new GrowingBuffer()
    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', onAbort)
      settle()
      decoder.destroy()
    }
    const onAbort = () => finish(() => reject(asError(signal.reason)))
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    decoder.on('data', (chunk: Buffer) => {
      const room = maxBytes - read.size
      read.append(chunk.subarray(0, room))
      if (chunk.length <= room) return
      if (cut) finish(() => resolve({ bytes: read.bytes, isCut: true }))
      else
        finish(() =>
          reject(
            new CheckFailure('too_large', `The body has more than ${maxBytes} bytes without its compression. Is this the right address?`),
          ),
        )
    })
    decoder.on('end', () => finish(() => resolve({ bytes: read.bytes, isCut: false })))
    decoder.on('error', (error) =>
      finish(() =>
        reject(
          new CheckFailure('protocol', `The body is not valid ${coding}: ${shorten(error.message, 80)}. See the log of the service.`, {
            cause: error,
          }),
        ),
      ),
    )
    decoder.end(coded)
  })
}

function ending(isPart: boolean): ZlibOptions {
  return isPart ? { finishFlush: zlib.Z_SYNC_FLUSH } : {}
}

/** Whether bytes begin with the two of RFC 1950: the method deflate, and a check sum. */
function hasZlibHeader([first = 0, second = 0]: Buffer): boolean {
  return (first & 0x0f) === 8 && (first * 256 + second) % 31 === 0
}
