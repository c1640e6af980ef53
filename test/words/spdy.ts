import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib'

/** A stream that the other side has opened: kubectl opens two for each connection that it forwards. */
export type SpdyStream = {
  headers: Record<string, string>
  write(data: Buffer): void
  end(): void
  onData: (data: Buffer) => void
  onEnd: () => void
}

/**
 * The serving side of SPDY/3.1, as much of it as `kubectl port-forward` speaks: streams that the client opens, data both ways, pings.
 * @param send takes whole frames
 * @param onStream is called before anything comes on the stream
 */
export class SpdySession {
  readonly #send: (frame: Buffer) => void
  readonly #onStream: (stream: SpdyStream) => void
  readonly #streams = new Map<number, SpdyStream>()
  readonly #inflate: Inflate = createInflate({ dictionary })
  readonly #deflate: Deflate = createDeflate({ dictionary })
  #rest = Buffer.alloc(0)
  #reading: Promise<void> = Promise.resolve()

  constructor(send: (frame: Buffer) => void, onStream: (stream: SpdyStream) => void) {
    this.#send = send
    this.#onStream = onStream
  }

  /** Bytes of the client, in whichever pieces. */
  receive(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    while (this.#rest.length >= 8 && this.#rest.length >= 8 + this.#rest.readUIntBE(5, 3)) {
      const frame = this.#rest.subarray(0, 8 + this.#rest.readUIntBE(5, 3))
      this.#rest = this.#rest.subarray(frame.length)
      // One after the other: headers are compressed as one stream.
      this.#reading = this.#reading.then(() => this.#read(frame))
    }
  }

  async #read(frame: Buffer): Promise<void> {
    const isEnd = ((frame[4] as number) & 1) === 1
    const body = frame.subarray(8)
    if (((frame[0] as number) & 0x80) === 0) {
      const stream = this.#streams.get(frame.readUInt32BE(0))
      if (body.length > 0) stream?.onData(body)
      if (isEnd) stream?.onEnd()
      return
    }
    const type = frame.readUInt16BE(2)
    if (type === types.ping) this.#send(frame)
    if (type === types.synStream) await this.#open(body, isEnd)
    if (type === types.reset) this.#streams.get(body.readUInt32BE(0))?.onEnd()
  }

  async #open(body: Buffer, isEnd: boolean): Promise<void> {
    const id = body.readUInt32BE(0)
    const headers = headersOf(await passThrough(this.#inflate, body.subarray(10)))
    const stream: SpdyStream = {
      headers,
      write: (data) => this.#send(dataFrame(id, data, false)),
      end: () => this.#send(dataFrame(id, Buffer.alloc(0), true)),
      onData: () => {},
      onEnd: () => {},
    }
    this.#streams.set(id, stream)
    this.#onStream(stream)
    const none = await passThrough(this.#deflate, Buffer.alloc(4))
    const reply = Buffer.alloc(12)
    reply.writeUInt32BE(0x80030000 + types.synReply, 0)
    reply.writeUIntBE(4 + none.length, 5, 3)
    reply.writeUInt32BE(id, 8)
    this.#send(Buffer.concat([reply, none]))
    if (isEnd) stream.onEnd()
  }
}

const types = { synStream: 1, synReply: 2, reset: 3, ping: 6 }

function dataFrame(id: number, data: Buffer, isEnd: boolean): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(id, 0)
  head[4] = isEnd ? 1 : 0
  head.writeUIntBE(data.length, 5, 3)
  return Buffer.concat([head, data])
}

/** What comes out of a compressor or its opposite for what is put in, at a boundary of the block. */
function passThrough(through: Inflate | Deflate, data: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const collect = (chunk: Buffer) => chunks.push(chunk)
    through.on('data', collect)
    through.once('error', reject)
    through.write(data)
    through.flush(constants.Z_SYNC_FLUSH, () => {
      through.off('data', collect)
      through.off('error', reject)
      resolve(Buffer.concat(chunks))
    })
  })
}

function headersOf(block: Buffer): Record<string, string> {
  let at = 4
  const next = () => {
    const end = at + 4 + block.readUInt32BE(at)
    const text = block.toString('utf8', at + 4, end)
    at = end
    return text
  }
  return Object.fromEntries(Array.from({ length: block.readUInt32BE(0) }, () => [next(), next()]))
}

/** SPDY/3, section 2.6.10.1: the words of the dictionary, each with its length before it, and a tail without. */
const words = [
  'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization',
  'cache-control connection content-base content-encoding content-language content-length content-location content-md5 content-range',
  'content-type date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified',
  'location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding',
  'upgrade user-agent vary via warning www-authenticate method get status',
].flatMap((line) => line.split(' '))
const tail = [
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information',
  '204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error',
  '501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, ',
  'Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,public',
  'privatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.',
].join('')
const counted = [...words, '200 OK', 'version', 'HTTP/1.1', 'url', 'public', 'set-cookie', 'keep-alive', 'origin']
const dictionary = Buffer.concat([...counted.map(withLength), Buffer.from(tail)])

function withLength(word: string): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(word.length)
  return Buffer.concat([length, Buffer.from(word)])
}
