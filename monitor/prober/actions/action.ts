import type { Secret } from '../../../shared/fields.ts'

/** What a check does that an action may be taken for. `recovered`: it is up, and was down or degraded. */
export const occasions = ['down', 'degraded', 'recovered'] as const

/** One of them. */
export type Occasion = (typeof occasions)[number]

/** What may be done when a check changes, at most once in `everyMs`. A check has none unless its configuration names it. */
export type Action =
  | WebhookAction
  /** Deletes the pods that the selector matches, so that their owners create new ones. */
  | { type: 'restart-pod'; namespace: string; selector: string; everyMs: number }
  /** Has systemd restart a unit of this machine. */
  | { type: 'restart-unit'; unit: string; everyMs: number }

/** Sends the status of the check. The address is a Secret where it holds a key, as that of many chat services does. */
export type WebhookAction = {
  type: 'webhook'
  url: string | Secret
  method?: 'POST' | 'PUT'
  headers?: Readonly<Record<string, Secret>>
  contentType?: string
  /** Template of the body; without it, the status is sent as JSON. */
  body?: string | undefined
  /** Values for the template that must not stand in the configuration. */
  secrets?: Readonly<Record<string, Secret>>
  /** What it is sent for; when the check goes down, if left out. */
  on?: readonly Occasion[]
  everyMs: number
}

/** What an action is taken for. */
export function occasionsOf(action: Action): readonly Occasion[] {
  return (action.type === 'webhook' && action.on) || ['down']
}

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
