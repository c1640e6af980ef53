import type { Target } from '../resources/kind.ts'
import type { Accepted } from './acceptance.ts'

/** One of the requests of the API, sent by the agent itself. */
export type OwnRequest = {
  /** As in the table of actions: `putDatabase`. */
  operationId: string
  target: Target
  /** Those of the path, where it has others than the target. */
  params?: Record<string, string>
  query?: Record<string, unknown>
  body?: unknown
  /** Who asks, in the ledger. No identity of a caller contains a blank. */
  requestedBy: string
  /** The same key of the same `requestedBy` always means the same entry of the ledger. */
  key: string
}

/** Lets the agent ask itself, by the rules of the API: what a schedule, an expiry or a larger operation wants is an entry of the ledger. */
export type Requests = {
  /** @throws Problem whatever refuses the request */
  accept(request: OwnRequest): Promise<Accepted>
}
