import { setImmediate as nextTurn } from 'node:timers/promises'
import type { BodyFault, FaultList } from '../../shared/errors.ts'
import { regionFileBounds } from './schema.ts'

/** Bytes that are looked at before others get their turn. */
const perTurn = 4 * 1024 * 1024

const [quote, backslash, comma, bracket, brace] = ['"', '\\', ',', '[', '{'].map((each) => each.charCodeAt(0))

/**
 * The value of a text that is JSON, of whoever; undefined if it has a fault, which is added. Its values are counted first: a few thousand bytes,
 * packed, can be twenty million empty lists, which take gigabytes.
 *
 * @throws the reason of the signal
 */
export async function parseRegionText(bytes: Uint8Array, faults: FaultList<BodyFault>, signal?: AbortSignal): Promise<unknown> {
  const whole = (message: string) => faults.add(() => ({ path: '', message }))
  const { bytes: mostBytes, values: mostValues } = regionFileBounds
  if (bytes.byteLength > mostBytes) return whole(`is larger than ${mostBytes / 1024 / 1024} MiB, which no region file is`)
  const text = decoded(bytes)
  if (text === undefined) return whole('is not UTF-8')
  if (text.trim() === '') return whole('is empty')
  if ((await countValues(bytes, mostValues, signal)) > mostValues)
    return whole(`has more than ${mostValues.toLocaleString('en')} values, which no region file has`)
  try {
    return JSON.parse(text)
  } catch {
    const isCut = text.trimStart().startsWith('{') && !text.trimEnd().endsWith('}')
    return whole(isCut ? 'ends in the middle: the file was cut' : 'is not JSON')
  }
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** How many values the text has at the most, containers included: one at its beginning, and one behind each comma and each opening bracket. */
async function countValues(bytes: Uint8Array, most: number, signal: AbortSignal | undefined): Promise<number> {
  let count = 1
  let isString = false
  for (let start = 0; start < bytes.byteLength && count <= most; start += perTurn) {
    const end = Math.min(start + perTurn, bytes.byteLength)
    for (let at = start; at < end; at++) {
      const byte = bytes[at]
      if (byte === quote) isString = !isString || isEscaped(bytes, at)
      else if (!isString && (byte === comma || byte === bracket || byte === brace)) count++
    }
    await nextTurn()
    signal?.throwIfAborted()
  }
  return count
}

/** Whether an odd number of backslashes is before it. */
function isEscaped(bytes: Uint8Array, at: number): boolean {
  let before = at
  while (before > 0 && bytes[before - 1] === backslash) before--
  return (at - before) % 2 === 1
}
