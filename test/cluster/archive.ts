import { gunzipSync, inflateRawSync } from 'node:zlib'

/**
 * One file out of a gzipped tar (POSIX ustar, 512-byte blocks; names up to 100 bytes), as `npm pack` writes it.
 * Throws if the archive has no such file.
 */
export function readFromTgz(archive: Buffer, name: string): Buffer {
  const tar = gunzipSync(archive)
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const entry = tar.toString('utf8', at, at + 100).replace(/\0.*$/s, '')
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 135), 8)
    const start = at + 512
    if (entry === name) return tar.subarray(start, start + size)
    at = start + Math.ceil(size / 512) * 512
  }
  throw new Error(`no ${name} in the archive`)
}

/**
 * One file out of a zip (stored or deflated, no ZIP64), found by its central directory as APPNOTE 4.3.12 describes it:
 * the local headers may omit the sizes. Throws if the archive has no such file.
 */
export function readFromZip(zip: Buffer, name: string): Buffer {
  const end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'))
  if (end < 0) throw new Error('not a zip archive')
  const count = zip.readUInt16LE(end + 10)
  let at = zip.readUInt32LE(end + 16)
  for (let i = 0; i < count; i++) {
    const nameLength = zip.readUInt16LE(at + 28)
    if (zip.toString('utf8', at + 46, at + 46 + nameLength) === name) {
      const method = zip.readUInt16LE(at + 10)
      const local = zip.readUInt32LE(at + 42)
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28)
      const data = zip.subarray(start, start + zip.readUInt32LE(at + 20))
      if (method !== 0 && method !== 8) throw new Error(`${name} is compressed by method ${method}`)
      return method === 8 ? inflateRawSync(data) : data
    }
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32)
  }
  throw new Error(`no ${name} in the archive`)
}
