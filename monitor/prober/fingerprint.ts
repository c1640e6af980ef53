import { hash } from 'node:crypto'
import { Secret } from '../../shared/fields.ts'
import type { Check } from './check.ts'

/**
 * A text that is the same as long as the check asks the same of the same: kind and options. Of secrets it has a hash, so that a password
 * that was changed makes another check of it.
 */
export function printOf({ kind, options }: Check): string {
  return `${kind} ${JSON.stringify(options, function (this: Record<string, unknown>, name, value) {
    // What the function is given has been through toJSON already, which masks a secret.
    const original = this[name]
    return original instanceof Secret ? hash('sha256', textOf(original)) : value
  })}`
}

/** A text that is the same as long as its series and its metrics are called the same and stand in the same place. */
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
