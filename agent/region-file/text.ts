import { isUtf8 } from 'node:buffer'
import type { BodyFault, FaultList } from '../../shared/errors.ts'
import { faultOfText } from './scan.ts'
import { regionFileBounds } from './schema.ts'

/**
 * The value of a text that is JSON, of whoever; undefined if it has a fault, which is added.
 *
 * @throws the reason of the signal
 */
export async function parseRegionText(bytes: Uint8Array, faults: FaultList<BodyFault>, signal?: AbortSignal): Promise<unknown> {
  const whole = (message: string) => faults.add(() => ({ path: '', message }))
  const { bytes: mostBytes } = regionFileBounds
  if (bytes.byteLength > mostBytes) return whole(`is larger than ${mostBytes / 1024 / 1024} MiB, which no region file is`)
  if (!isUtf8(bytes)) return whole('is not UTF-8')
  const fault = await faultOfText(bytes, signal)
  if (fault !== undefined) return faults.add(() => fault)
  const text = new TextDecoder().decode(bytes)
  if (text.trim() === '') return whole('is empty')
  try {
    return JSON.parse(text)
  } catch {
    const isCut = text.trimStart().startsWith('{') && !text.trimEnd().endsWith('}')
    return whole(isCut ? 'ends in the middle: the file was cut' : 'is not JSON')
  }
}
