import { styleText } from 'node:util'
import { visible } from './visible.ts'

type Style = Parameters<typeof styleText>[0]
const styles: Record<string, Style> = { debug: 'dim', info: 'green', warn: 'yellow', error: 'red', fatal: ['red', 'bold'] }

/**
 * A line of the log for people: time, level, message, fields, and lists of faults and stacks on lines of their own. pino-pretty could do it,
 * with thirteen packages; this needs none.
 * @param json the line that pino wrote
 * @param hasColour whether to colour the level
 */
export function textLine(json: string, hasColour: boolean): string {
  const { level = '', time = '', name: _, msg = '', err, faults, ...fields } = JSON.parse(json) as Record<string, unknown>
  const word = String(level).toUpperCase().padEnd(5)
  const pairs = Object.entries(fields).map(([key, value]) => ` ${visible(key)}=${shownValue(value)}`)
  const head = `${String(time).slice(11)} ${hasColour ? styleText(styles[String(level)] ?? 'reset', word, { validateStream: false }) : word} `
  const more = [...(Array.isArray(faults) ? faults : []), ...(err === undefined ? [] : stackOf(err))]
  return [`${head}${visible(String(msg))}${pairs.join('')}`, ...more.map((line) => `    ${visible(String(line))}`)].join('\n').concat('\n')
}

/** A word as it is; other texts in quotation marks, and everything else as JSON. Whatever a terminal would act on is in writing. */
function shownValue(value: unknown): string {
  const isWord = typeof value === 'string' && /^[^\s"\\=]+$/.test(value)
  return visible(isWord ? value : (JSON.stringify(value) ?? 'undefined'))
}

/** The stack of an error, as log.ts writes errors, with those of its causes. */
function stackOf(err: unknown): string[] {
  if (typeof err !== 'object' || err === null) return [String(err)]
  const { stack, message, cause } = err as { stack?: unknown; message?: unknown; cause?: unknown }
  const lines = String(stack ?? message ?? JSON.stringify(err)).split('\n')
  return cause === undefined ? lines : [...lines, 'caused by:', ...stackOf(cause)]
}
