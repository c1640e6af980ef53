/** Kinds of messages that the node sends. */
export type SentType = 'NBIRTH' | 'NDATA' | 'NDEATH' | 'DBIRTH' | 'DDATA' | 'DDEATH' | 'NCMD'

/** Why something from outside was dropped, or something of ours could not be sent. A small fixed set: it becomes a label. */
export type DropReason =
  | 'too-large' // a payload beyond the limit
  | 'malformed' // not protobuf, or not JSON
  | 'too-many' // more metrics than a command may have
  | 'unknown-metric' // a name or alias that was not born, or that nobody may write
  | 'unknown-device'
  | 'wrong-type'
  | 'refused' // understood, and not done: a reboot
  | 'retained' // a command that was kept by the server for whoever comes
  | 'invalid-state' // a STATE that is none

/** Plain numbers of the edge node; who publishes them copies them. */
export type SparkplugCounters = {
  isConnected: boolean
  /** Births are out, and data flows. */
  isOnline: boolean
  /** The server it is connected to, without credentials. */
  server: string | undefined
  sent: Record<SentType, number>
  /** Commands that were acted upon. */
  commands: number
  dropped: Record<DropReason, number>
  /** CONNECT packets after the first one. */
  reconnects: number
  rebirths: number
  buffer: {
    /** Changes kept: not sent, or not proven to have been read. */
    length: number
    /** Changes lost because the buffer was full, or could not be read. */
    dropped: number
    /** Changes of metrics that no longer exist when they could have been sent. */
    unborn: number
    /** Changes sent as historical. */
    historical: number
  }
  /** Samples that did not fit the type of their metric, or named none. */
  refusedSamples: number
}

/** All at zero. */
export function createCounters(): SparkplugCounters {
  return {
    isConnected: false,
    isOnline: false,
    server: undefined,
    sent: { NBIRTH: 0, NDATA: 0, NDEATH: 0, DBIRTH: 0, DDATA: 0, DDEATH: 0, NCMD: 0 },
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
    buffer: { length: 0, dropped: 0, unborn: 0, historical: 0 },
    refusedSamples: 0,
  }
}
