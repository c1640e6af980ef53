import { hash, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import type { HeartbeatOptions } from '../checks/heartbeat.ts'
import type { Beat, Heartbeats } from '../heartbeats/index.ts'
import type { Prober } from '../prober/check.ts'
import { EndpointProblem } from './problems.ts'

/** What taking heartbeats needs. */
export type BeatNeeds = { prober: Pick<Prober, 'statuses'>; heartbeats: Pick<Heartbeats, 'take'>; clock: Clock }

/**
 * Takes the heartbeat of a sender, if it has the token of a check with that id.
 * @throws EndpointProblem `heartbeat-refused`, whether there is no such check or the token is wrong; `invalid-request`
 */
export function takeBeat(
  { id, query, authorization }: { id: string; query: URLSearchParams; authorization: string | undefined },
  { prober, heartbeats, clock }: BeatNeeds,
): void {
  const token = tokenOf(authorization, query)
  const given = hash('sha256', token, 'buffer')
  let isKnown = false
  for (const { check } of prober.statuses()) {
    if (check.kind !== 'heartbeat') continue
    const options = check.options as HeartbeatOptions
    if (options.id === id && timingSafeEqual(hash('sha256', options.tokenFile.reveal().trim(), 'buffer'), given)) isKnown = true
  }
  if (!isKnown || token === '') throw new EndpointProblem('heartbeat-refused', 'There is no heartbeat check with this id and this token.')
  heartbeats.take(id, beatOf(query, clock.now()))
}

function tokenOf(authorization: string | undefined, query: URLSearchParams): string {
  return /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? query.get('token') ?? ''
}

/** What a sender says of itself, in our words or in those of Uptime Kuma's push monitors. */
function beatOf(query: URLSearchParams, at: number): Beat {
  const state = query.get('state') ?? query.get('status') ?? 'up'
  if (state !== 'up' && state !== 'degraded' && state !== 'down')
    throw new EndpointProblem('invalid-request', 'state must be up, degraded or down.')
  const message = (query.get('message') ?? query.get('msg'))?.slice(0, 200).toWellFormed()
  const took = query.get('ms') ?? query.get('ping') ?? ''
  const ms = took === '' ? undefined : Number(took)
  if (ms !== undefined && !(ms >= 0 && ms <= 1e12)) throw new EndpointProblem('invalid-request', 'ms must be a number of milliseconds.')
  return { at, state, ...(message && { message }), ...(ms !== undefined && { ms }) }
}
