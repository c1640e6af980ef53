import type { Secret } from '../../../shared/fields.ts'

/** What may be done when a check goes down. Off unless a check names it; never more often than once in `everyMs`. */
export type Action =
  | { type: 'webhook'; url: string; headers?: Readonly<Record<string, Secret>>; everyMs: number }
  | { type: 'restart-pod'; namespace: string; selector: string; everyMs: number }
  | { type: 'restart-unit'; unit: string; everyMs: number }
