import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { type FaultList, Problem } from '../../shared/errors.ts'
import { type Limiter, limitConcurrency } from '../../shared/limit-concurrency.ts'
import type { FileBody } from '../operations/actions/file-body.ts'
import { checkMediaType, hasBody, mediaTypes, readBytes, tooLarge } from './body.ts'
import type { ApiContext } from './context.ts'

const unpack = promisify(gunzip)

/** How many requests wait while the file of another one is read. Further ones are refused. */
const mostWaiting = 4

/** For each kind of file: one is read at a time, since a large one takes a few hundred MiB meanwhile. */
const readers = new WeakMap<FileBody, { limit: Limiter; open: number }>()

function readerOf(file: FileBody): { limit: Limiter; open: number } {
  const reader = readers.get(file) ?? { limit: limitConcurrency(1), open: 0 }
  readers.set(file, reader)
  return reader
}

/**
 * Reads a body that is a file, packed with gzip or not: returns its value, and adds every fault to `faults`.
 * @throws Problem `unsupported-media-type`, `body-too-large`, `busy` while others wait to be read, or `invalid-request`
 */
export async function readFileBody(c: ApiContext, file: FileBody, faults: FaultList): Promise<unknown> {
  if (!hasBody(c)) return void faults.add(() => ({ path: '', message: 'is required' }))
  const encoding = c.req.header('content-encoding')?.toLowerCase() ?? 'identity'
  if (encoding !== 'identity' && encoding !== 'gzip')
    throw new Problem(
      'unsupported-media-type',
      `The body has the Content-Encoding ${JSON.stringify(encoding.slice(0, 100))}; this route takes gzip.`,
    )
  checkMediaType(c.req.header('content-type'), mediaTypes.json)
  const reader = readerOf(file)
  if (reader.open > mostWaiting) throw new Problem('busy', 'Other files are being read.', { retryAfterSeconds: 5 })
  reader.open++
  try {
    return await reader.limit(() => read(c, file, encoding === 'gzip', faults))
  } finally {
    reader.open--
  }
}

async function read(c: ApiContext, file: FileBody, isPacked: boolean, faults: FaultList): Promise<unknown> {
  const sent = await readBytes(c, file.maxBytes)
  if (!isPacked && sent[0] === 0x1f && sent[1] === 0x8b)
    throw new Problem('invalid-request', 'The body is packed with gzip: send the header Content-Encoding: gzip with it.')
  const found = await file.read(isPacked ? await unpacked(sent, file.maxBytes) : sent, c.req.raw.signal)
  if (found.ok) return found.value
  faults.addAll(found.faults, found.more)
  return undefined
}

async function unpacked(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  try {
    return await unpack(bytes, { maxOutputLength: maxBytes })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes)
    throw new Problem('invalid-request', 'The body is not gzip, or it ends early.', { cause })
  }
}
