import type { Secret } from '../../../shared/fields.ts'

/** What may be done when a check goes down, at most once in `everyMs`. A check has none unless its configuration names it. */
export type Action =
  /** POSTs the status of the check as JSON. The address is a Secret where it holds a key, as that of many chat services does. */
  | { type: 'webhook'; url: string | Secret; headers?: Readonly<Record<string, Secret>>; everyMs: number }
  /** Deletes the pods that the selector matches, so that their owners create new ones. */
  | { type: 'restart-pod'; namespace: string; selector: string; everyMs: number }
  /** Has systemd restart a unit of this machine. */
  | { type: 'restart-unit'; unit: string; everyMs: number }

/** The target of an action, for the log. It leaves out what may be secret, so two actions may have the same. */
export function targetOfAction(action: Action): string {
  switch (action.type) {
    case 'webhook':
      return typeof action.url === 'string' ? new URL(action.url).origin : '(secret address)'
    case 'restart-pod':
      return `${action.namespace}/${action.selector}`
    case 'restart-unit':
      return action.unit
  }
}
