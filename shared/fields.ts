import { inspect } from 'node:util'
import * as z from 'zod'
import { layers, type Schema } from './schema.ts'

/** Kinds of fields with a syntax of their own, for `--help` and the printed configuration. */
type FieldKind = { kind: 'duration' | 'size' | 'secret' | 'secretText' | 'file' }
const kinds = z.registry<FieldKind>()

/** The kind of a field, if it has one. */
export function fieldKind(schema: Schema): FieldKind['kind'] | undefined {
  for (const layer of layers(schema)) {
    const found = kinds.get(layer)
    if (found) return found.kind
  }
  return undefined
}

const durationUnits = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const

/** Milliseconds of a text such as `250ms`, `30s`, `1h30m` or `7d`; undefined if it is invalid. Units go from large to small, each once. */
export function parseDuration(text: string): number | undefined {
  const match = /^(?=\d)(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?$/.exec(text)
  if (match === null || text.length > 40) return undefined
  const ms = durationUnits.reduce((sum, [, size], index) => sum + Number(match[index + 1] ?? 0) * size, 0)
  return Number.isSafeInteger(Math.round(ms)) ? Math.round(ms) : undefined
}

/** The shortest text that `parseDuration` reads as these milliseconds. */
export function formatDuration(ms: number): string {
  let left = ms
  let text = ''
  for (const [unit, size] of durationUnits) {
    const count = Math.floor(left / size)
    if (count > 0) text += `${count}${unit}`
    left -= count * size
  }
  return text === '' ? '0s' : text
}

/**
 * A duration, written with its unit and read as milliseconds. The default has the same syntax: `duration().prefault('30s')`.
 * @param limits the shortest and the longest allowed, in the same syntax
 */
export function duration({ min = '0s', max = '3650d' }: { min?: string; max?: string } = {}) {
  const [least, most] = [parseDuration(min), parseDuration(max)]
  if (least === undefined || most === undefined) throw new TypeError(`duration limits ${min}, ${max}`)
  return z
    .string({ error: (issue) => (issue.input === undefined ? undefined : durationWords) })
    .transform((text, context) => {
      const ms = parseDuration(text)
      if (ms !== undefined && ms >= least && ms <= most) return ms
      const message = ms === undefined ? durationWords : ms < least ? `must be at least ${min}` : `must be at most ${max}`
      context.addIssue({ code: 'custom', message })
      return z.NEVER
    })
    .register(kinds, { kind: 'duration' })
}

const durationWords = 'must be a duration: a number with its unit, such as 250ms, 30s, 5m or 2h'

const sizeUnits: Record<string, number> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
}

/** Bytes of a text such as `512B`, `64KiB`, `1.5GiB` or `2Gi`; undefined if it is invalid. */
export function parseByteSize(text: string): number | undefined {
  const match = /^(\d{1,16}(?:\.\d{1,6})?)([A-Za-z]+)$/.exec(text)
  const unit = match?.[2] !== undefined && Object.hasOwn(sizeUnits, match[2]) ? sizeUnits[match[2]] : undefined
  if (match === null || unit === undefined) return undefined
  const bytes = Math.round(Number(match[1]) * unit)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** The shortest text that `parseByteSize` reads as these bytes. */
export function formatByteSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    const size = sizeUnits[unit] as number
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`
  }
  return `${bytes}B`
}

/** A size, written with its unit and read as bytes: `byteSize({ max: '1GiB' }).prefault('1MiB')`. */
export function byteSize({ min = '0B', max = '1024TiB' }: { min?: string; max?: string } = {}) {
  const [least, most] = [parseByteSize(min), parseByteSize(max)]
  if (least === undefined || most === undefined) throw new TypeError(`size limits ${min}, ${max}`)
  return z
    .string({ error: (issue) => (issue.input === undefined ? undefined : sizeWords) })
    .transform((text, context) => {
      const bytes = parseByteSize(text)
      if (bytes !== undefined && bytes >= least && bytes <= most) return bytes
      const message = bytes === undefined ? sizeWords : bytes < least ? `must be at least ${min}` : `must be at most ${max}`
      context.addIssue({ code: 'custom', message })
      return z.NEVER
    })
    .register(kinds, { kind: 'size' })
}

const sizeWords = 'must be a size: a number with its unit, such as 512B, 64KiB, 1MiB or 2GiB'

/**
 * A secret. Only `reveal()` shows it: a log, JSON or a template gets a mask.
 * `file` is its file, to be read again after a rotation; undefined if it came from the environment.
 */
export class Secret {
  readonly file: string | undefined
  #value: string | undefined

  constructor(source: { file: string } | { value: string }) {
    this.file = 'file' in source ? source.file : undefined
    this.#value = 'value' in source ? source.value : undefined
  }

  /** The secret itself. @throws Error before `loadConfig` has loaded it */
  reveal(): string {
    if (this.#value === undefined) throw new Error(`the secret in ${this.file} has not been loaded`)
    return this.#value
  }

  /** Whether `reveal` has something to show. */
  get isLoaded(): boolean {
    return this.#value !== undefined
  }

  /** Takes the content of the file, without the line end that editors add. */
  load(text: string): void {
    this.#value = text.replace(/\r?\n$/, '')
  }

  toString(): string {
    return '[masked]'
  }

  toJSON(): string {
    return '[masked]'
  }

  [inspect.custom](): string {
    return 'Secret [masked]'
  }
}

/**
 * The path of a file with a secret. Name the field `…File`; the configuration then holds a `Secret`, which is read while loading.
 * The environment may hold the secret itself, in the variable without `_FILE`.
 */
export function secretFile() {
  return z
    .union([z.string().min(1), z.instanceof(Secret)], {
      error: (issue) => (issue.input === undefined ? undefined : 'must be the path of a file'),
    })
    .transform((given) => (given instanceof Secret ? given : new Secret({ file: given })))
    .register(kinds, { kind: 'secret' })
}

/** The path of a file that the program reads while it runs, such as a certificate that is rotated. `--check-config` reads it too. */
export function fileToRead() {
  return z.string().min(1).register(kinds, { kind: 'file' })
}

/**
 * A secret that stands in the configuration itself, because a format that is not ours has it there. The configuration then holds a
 * `Secret`; `--print-config` masks it. Numbers and booleans count as text, as they stand.
 */
export function secretText({ max = 65_536 }: { max?: number } = {}) {
  return z
    .union([z.string().max(max), z.number(), z.boolean(), z.instanceof(Secret)], { error: () => 'must be a text' })
    .transform((given) => (given instanceof Secret ? given : new Secret({ value: String(given) })))
    .register(kinds, { kind: 'secretText' })
}
