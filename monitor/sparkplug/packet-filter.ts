import { Transform, type TransformCallback } from 'node:stream'

const publish = 3

/**
 * Lets MQTT packets through as they come, and leaves out the body of every PUBLISH that is larger than `maxBytes`.
 *
 * Otherwise the client would gather a whole packet before its size can be checked, up to the 256 MB that the protocol allows, and anybody
 * who may write to the node's NCMD could fill its memory. In MQTT 5 the server enforces a limit; 3.1.1 has none.
 *
 * @param onDropped called with the length of each packet that is left out
 */
export function createPacketFilter(maxBytes: number, onDropped: (bytes: number) => void): Transform {
  let header: number[] = []
  /** Bytes of the present packet's body still to come. */
  let left = 0
  let isDropping = false

  return new Transform({
    transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback) {
      let at = 0
      while (at < chunk.length) {
        if (left > 0) {
          const piece = chunk.subarray(at, at + left)
          if (!isDropping) this.push(piece)
          at += piece.length
          left -= piece.length
          continue
        }
        header.push(chunk[at++] as number)
        const last = header.at(-1) as number
        if (header.length === 1 || (last >= 0x80 && header.length < 5)) continue
        if (last >= 0x80) return done(new Error('a packet without a valid length'))
        left = header.slice(1).reduce((sum, byte, index) => sum + (byte & 0x7f) * 128 ** index, 0)
        const isPublish = (header[0] as number) >> 4 === publish
        if (!isPublish && left > maxBytes) return done(new Error('a packet larger than any expected'))
        isDropping = isPublish && left > maxBytes
        if (isDropping) onDropped(left)
        else this.push(Buffer.from(header))
        header = []
      }
      done()
    },
  })
}
