import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer, Client } from '../region/client.ts'

/** A request that was answered with 202: the agent's promise. */
export type Acknowledged = { key: string; method: string; path: string; operation: string }

export type Workload = {
  acknowledged: Acknowledged[]
  /** Requests that were refused for good, with their status: they promise nothing. */
  refused: { key: string; status: number; detail: string }[]
  /** Attempts that got no answer, or one that says to come back. */
  retried: number
}

export function emptyWorkload(): Workload {
  return { acknowledged: [], refused: [], retried: 0 }
}

type Request = { method: string; path: string; body?: unknown }

/**
 * Sends mixed requests from several workers, each with the databases of one project, and sends each again under the same
 * Idempotency-Key until it is answered, as a client library does.
 *
 * @param total how many requests are sent, at least, unless `until` aborts before
 */
export async function sendMixed(
  client: Client,
  { total, workers, random, until }: { total: number; workers: number; random: () => number; until?: AbortSignal },
  workload: Workload = emptyWorkload(),
): Promise<Workload> {
  let left = total
  await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      for (const request of requestsOf(`fleet-${worker}`, random)) {
        if (left-- <= 0 || until?.aborted) return
        await send(client, request, `${worker}-${left}`, workload)
        await sleep(random() * 120)
      }
    }),
  )
  return workload
}

/** A project, three databases in it, and then one change after the other. It never ends. */
function* requestsOf(project: string, random: () => number): Generator<Request> {
  const pick = <T>(values: T[]): T => values[Math.floor(random() * values.length)] as T
  const path = `/v1/projects/${project}`
  yield { method: 'PUT', path, body: { displayName: project } }
  const ids = ['one', 'two', 'three']
  for (const id of ids) yield { method: 'PUT', path: `${path}/databases/${id}`, body: freshDatabase() }
  const changes = [
    () => ({ nodes: { count: pick([1, 2, 3]) } }),
    () => ({ nodes: { cpu: pick(['250m', '500m', '1']) } }),
    () => ({ allowedCIDRs: [`10.${Math.floor(random() * 256)}.0.0/16`] }),
    () => ({ allowedCIDRs: [`10.${Math.floor(random() * 256)}.0.0/16`], nodes: { count: pick([1, 2]), cpu: pick(['250m', '500m']) } }),
  ]
  for (;;) {
    const id = pick(ids)
    const kind = random()
    if (kind < 0.08) {
      yield { method: 'DELETE', path: `${path}/databases/${id}` }
      yield { method: 'PUT', path: `${path}/databases/${id}`, body: freshDatabase() }
    } else if (kind < 0.2) yield { method: 'POST', path: `${path}/databases/${id}/actions/${pick(['suspend', 'resume'])}`, body: {} }
    else if (kind < 0.26) yield { method: 'PATCH', path, body: { displayName: `${project} ${Math.floor(random() * 1000)}` } }
    else yield { method: 'PATCH', path: `${path}/databases/${id}`, body: pick(changes)() }
  }
}

function freshDatabase() {
  return {
    version: '5.10.1',
    nodes: { count: 1, cpu: '250m', memory: '512Mi', disk: { size: '4Gi', storageClass: 'crate-premium' } },
    users: [{ name: 'fleet', generate: true }],
    allowedCIDRs: ['10.0.0.0/8'],
  }
}

/** The rules of a client library: no answer, 429, and 5xx that may pass are tried again; the same key makes that safe. */
async function send(client: Client, { method, path, body }: Request, key: string, workload: Workload): Promise<void> {
  const until = performance.now() + 90_000
  for (;;) {
    const answer = await client.call(method, path, { body, headers: { 'idempotency-key': key }, timeoutMs: 20_000 }).catch(() => undefined)
    if (answer && !mayPass(answer)) {
      if (answer.status === 202) workload.acknowledged.push({ key, method, path, operation: answer.body.id })
      else if (answer.status >= 400) workload.refused.push({ key, status: answer.status, detail: answer.body?.detail ?? answer.text })
      return
    }
    if (performance.now() > until) throw new Error(`${method} ${path} was not answered within 90 s; last: ${answer?.text ?? 'no answer'}`)
    workload.retried++
    await sleep(50 + Math.random() * 150)
  }
}

function mayPass({ status }: Answer): boolean {
  return status === 429 || status === 502 || status === 503 || status === 504
}
