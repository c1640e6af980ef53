import { hash } from 'node:crypto'
import { Secret } from '../../shared/fields.ts'
import type { Check } from './check.ts'

/**
 * A text that changes when the kind or the options of a check change. It has the hashes of secrets, so a changed password changes it too.
 */
export function fingerprintOf({ kind, options }: Check): string {
  return `${kind} ${JSON.stringify(options, function (this: Record<string, unknown>, name, value) {
    // `value` has been through toJSON already, which masks a secret.
    const original = this[name]
    return original instanceof Secret ? hash('sha256', textOf(original)) : value
  })}`
}

/** A text that changes when the names or labels of the check's series, or the names of its Sparkplug metrics, change. */
export function placeOf({ kind, target, group, severity, labels }: Check): string {
  return JSON.stringify([kind, target, group, severity, labels])
}

function textOf(secret: Secret): string {
  try {
    return secret.reveal()
  } catch {
    return secret.file ?? '' // not loaded: the check will say so when it runs
  }
}
