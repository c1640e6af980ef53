/** The types of messages that the node sends. */
export type SentType = 'NBIRTH' | 'NDATA' | 'NDEATH' | 'DBIRTH' | 'DDATA' | 'DDEATH' | 'NCMD'

/** Why a message from outside was dropped. A small fixed set, since it becomes a label. */
export type DropReason =
  | 'too-large' // a payload beyond the limit
  | 'malformed' // not protobuf, or not JSON
  | 'too-many' // more metrics than a command may have
  | 'unknown-metric' // a name or alias that was not born, or is not writable
  | 'unknown-device'
  | 'wrong-type'
  | 'refused' // understood, but not done: a reboot
  | 'retained' // a command that the server kept for new subscribers
  | 'invalid-state' // not a valid STATE

/** Upper bounds of the buckets of sizes, in bytes. 128 KiB is the limit of AWS IoT Core. */
export const sizeBuckets = [1024, 4096, 16_384, 65_536, 131_072, 262_144, 1_048_576] as const

/** How large packets were: a count for each bucket and one for larger ones, the number of bytes, and that of packets. */
export type Sizes = { buckets: number[]; sum: number; count: number }

/** Adds a packet. */
export function recordSize(sizes: Sizes, bytes: number): void {
  const bucket = sizeBuckets.findIndex((bound) => bytes <= bound)
  const place = bucket < 0 ? sizeBuckets.length : bucket
  sizes.buckets[place] = (sizes.buckets[place] as number) + 1
  sizes.sum += bytes
  sizes.count++
}

function noSizes(): Sizes {
  return { buckets: new Array(sizeBuckets.length + 1).fill(0), sum: 0, count: 0 }
}

/** The counters of the edge node. */
export type SparkplugCounters = {
  isConnected: boolean
  /** Births are out, and data flows. */
  isOnline: boolean
  /** The present server, without credentials. */
  server: string | undefined
  /** The largest packet for the present server, in bytes; undefined without a limit that is known. */
  packetLimitBytes: number | undefined
  /** The keep-alive of the present connection, the server's if it has one. */
  keepAliveSeconds: number | undefined
  /** Why something that belongs on disk is not there: bdSeq, or kept changes. Undefined if all is. */
  readonly storageTrouble: string | undefined
  sent: Record<SentType, number>
  /** Births as packets. */
  birthBytes: Record<'NBIRTH' | 'DBIRTH', Sizes>
  /** The node and devices whose last birth had to leave something out, or could not be sent, because of the size that the server takes. */
  reducedBirths: number
  /** Commands that were acted upon. */
  commands: number
  dropped: Record<DropReason, number>
  /** Attempts to connect after the first one. */
  reconnects: number
  rebirths: number
  buffer: {
    /** Changes in the buffer: not sent, or without proof that the server has read them. */
    length: number
    /** Changes lost because the buffer was full, or could not be read. */
    dropped: number
    /** Changes of metrics that no longer existed when they could be sent. */
    unborn: number
    /** Changes that were larger than the server takes. */
    tooLarge: number
    /** Changes sent as historical. */
    historical: number
  }
  /** Samples that did not fit the type of their metric, or named no metric. */
  refusedSamples: number
}

/** All at zero. @param storageTrouble looked at whenever it is read */
export function createCounters(storageTrouble: () => string | undefined = () => undefined): SparkplugCounters {
  return {
    get storageTrouble() {
      return storageTrouble()
    },
    isConnected: false,
    isOnline: false,
    server: undefined,
    packetLimitBytes: undefined,
    keepAliveSeconds: undefined,
    sent: { NBIRTH: 0, NDATA: 0, NDEATH: 0, DBIRTH: 0, DDATA: 0, DDEATH: 0, NCMD: 0 },
    birthBytes: { NBIRTH: noSizes(), DBIRTH: noSizes() },
    reducedBirths: 0,
    commands: 0,
    dropped: {
      'too-large': 0,
      malformed: 0,
      'too-many': 0,
      'unknown-metric': 0,
      'unknown-device': 0,
      'wrong-type': 0,
      refused: 0,
      retained: 0,
      'invalid-state': 0,
    },
    reconnects: 0,
    rebirths: 0,
    buffer: { length: 0, dropped: 0, unborn: 0, tooLarge: 0, historical: 0 },
    refusedSamples: 0,
  }
}
