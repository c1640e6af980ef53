// The format of kept changes on disk: a segment is a file with one line of JSON for each change.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { Change } from './buffer.ts'
import type { MetricValue } from './datatypes.ts'
import { type Quality, quality } from './payload.ts'

/** The name of a segment's file. Names sort in the order of their numbers. */
export function segmentName(number: number): string {
  return `${String(number).padStart(12, '0')}.jsonl`
}

/** The number in the name of a segment's file; undefined for other files. */
export function segmentNumber(name: string): number | undefined {
  const [, digits] = /^(\d{12})\.jsonl$/.exec(name) ?? []
  return digits === undefined ? undefined : Number(digits)
}

/**
 * Writes a file under a temporary name and renames it, so that a reader never sees part of it.
 * @throws what the file system throws; then nothing is left of it, which on a full disk would keep the last room there is
 */
export function writeWhole(file: string, text: string, { flush }: { flush: boolean }): void {
  try {
    writeFileSync(`${file}.new`, text, { mode: 0o600, flush })
    renameSync(`${file}.new`, file)
  } catch (error) {
    removeQuietly(`${file}.new`)
    throw error
  }
}

function removeQuietly(file: string): void {
  try {
    rmSync(file, { force: true })
  } catch {
    // The caller learns why it could not be written.
  }
}

/** Writes a segment. @returns its size in bytes @throws what the file system throws */
export function writeSegment(file: string, changes: readonly Change[]): number {
  const text = `${changes.map(writeChange).join('\n')}\n`
  writeWhole(file, text, { flush: true })
  return Buffer.byteLength(text)
}

/** The changes of a segment. Damaged lines are left out. @throws what the file system throws */
export function readSegment(file: string): Change[] {
  const changes: Change[] = []
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const change = line === '' ? undefined : readChange(line)
    if (change !== undefined) changes.push(change)
  }
  return changes
}

function writeChange({ device, name, value, timestamp, quality: code, isLate }: Change): string {
  return JSON.stringify([device ?? null, name, toJson(value), timestamp, code, isLate ? 1 : 0])
}

/** The change in a line; undefined if the line is damaged. */
function readChange(line: string): Change | undefined {
  try {
    const [device, name, value, timestamp, code, isLate] = JSON.parse(line) as unknown[]
    const isOne = (device === null || typeof device === 'string') && typeof name === 'string' && Number.isSafeInteger(timestamp)
    if (!isOne || !Object.values(quality).includes(code as Quality)) return undefined
    return {
      device: device ?? undefined,
      name,
      value: fromJson(value),
      timestamp: timestamp as number,
      quality: code as Quality,
      ...(isLate === 1 ? { isLate: true } : {}),
    }
  } catch {
    return undefined
  }
}

/** JSON has no bigint and no NaN: they are objects with one member. */
function toJson(value: MetricValue | null): unknown {
  if (typeof value === 'bigint') return { n: value.toString() }
  if (typeof value === 'number' && !Number.isFinite(value)) return { f: String(value) }
  return value
}

function fromJson(value: unknown): MetricValue | null {
  if (typeof value !== 'object' || value === null) return value as MetricValue | null
  const { n, f } = value as { n?: string; f?: string }
  return n === undefined ? Number(f) : BigInt(n)
}
