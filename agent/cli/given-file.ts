import { open, readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { boundedBytes } from '../../shared/bounded-body.ts'
import { regionFileBounds } from '../region-file/schema.ts'

const unpack = promisify(gunzip)
const { bytes: most } = regionFileBounds
const tooLarge = `more than ${most / 1024 / 1024} MiB, which no region file has`

/**
 * The bytes of a region file that a command was given, packed with gzip or not.
 * @param path `-` for standard input
 * @throws Error why it cannot be read, for people
 */
export async function readGivenFile(path: string, input: Readable): Promise<Buffer> {
  const bytes = path === '-' ? await bytesOf(input) : await bytesOfFile(path)
  return bytes[0] === 0x1f && bytes[1] === 0x8b ? unpacked(bytes) : bytes
}

/** The text of a file. @throws Error why it cannot be read, for people */
export async function readGivenText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw unreadable(path, error)
  }
}

async function bytesOfFile(path: string): Promise<Buffer> {
  try {
    return await bytesOf((await open(path)).createReadStream())
  } catch (error) {
    throw unreadable(path, error)
  }
}

function bytesOf(stream: Readable): Promise<Buffer> {
  return boundedBytes(stream, most, () => new Error(`the file has ${tooLarge}`))
}

async function unpacked(bytes: Buffer): Promise<Buffer> {
  try {
    return await unpack(bytes, { maxOutputLength: most })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ERR_BUFFER_TOO_LARGE') throw new Error(`the file has ${tooLarge}, once it is unpacked`, { cause })
    if (code === 'Z_BUF_ERROR') throw new Error('the file ends in the middle: it was cut', { cause })
    throw new Error('the file is packed with gzip, and damaged', { cause })
  }
}

function unreadable(path: string, cause: unknown): unknown {
  const { code } = cause as NodeJS.ErrnoException
  const meaning = code === undefined ? undefined : meanings[code]
  return meaning === undefined ? cause : new Error(`${path} cannot be read: ${meaning}`, { cause })
}

const meanings: Record<string, string> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'it is a folder',
  EACCES: 'you may not read it',
  EPERM: 'you may not read it',
}
