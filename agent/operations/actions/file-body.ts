import type { BodyFault } from '../../../shared/errors.ts'

/** What became of a file: its value, or everything that is wrong with it. */
export type ReadFile<Value> = { ok: true; value: Value } | { ok: false; faults: BodyFault[]; more: number }

/** A body that is a file: it may be larger than other bodies, and has a reader of its own. */
export type FileBody<Value = unknown> = {
  /** The largest that is read, unpacked, in bytes. */
  maxBytes: number
  /** @throws the reason of the signal */
  read(bytes: Uint8Array, signal?: AbortSignal): Promise<ReadFile<Value>>
  /** Two files with the same digest are the same request. */
  digestOf(value: Value): string
}

/** Types a reader: requests of all kinds stand in one table. */
export function fileBody<Value>(file: FileBody<Value>): FileBody {
  return file as FileBody
}
