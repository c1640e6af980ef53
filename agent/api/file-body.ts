import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { type FaultList, Problem } from '../../shared/errors.ts'
import type { FileBody } from '../operations/actions/file-body.ts'
import { checkMediaType, hasBody, mediaTypes, readBytes, tooLarge } from './body.ts'
import type { ApiContext } from './context.ts'

const unpack = promisify(gunzip)

/** The bodies that are being read. One of each kind at a time: a large file takes a few hundred MiB meanwhile, and nobody needs two at once. */
const reading = new WeakSet<FileBody>()

/**
 * Reads a body that is a file, packed with gzip or not: returns its value, and adds every fault to `faults`.
 * @throws Problem `unsupported-media-type`, `body-too-large`, `busy` while another one is read, or `invalid-request`
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
  if (reading.has(file)) throw new Problem('busy', 'Another file is being read.', { retryAfterSeconds: 5 })
  reading.add(file)
  try {
    const sent = await readBytes(c, file.maxBytes)
    const read = await file.read(encoding === 'gzip' ? await unpacked(sent, file.maxBytes) : sent, c.req.raw.signal)
    if (read.ok) return read.value
    faults.addAll(read.faults, read.more)
    return undefined
  } finally {
    reading.delete(file)
  }
}

async function unpacked(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  try {
    return await unpack(bytes, { maxOutputLength: maxBytes })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes)
    throw new Problem('invalid-request', 'The body is not gzip, or it ends early.', { cause })
  }
}
