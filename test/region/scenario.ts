import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Births, Message } from './births.ts'
import type { Answer, Client } from './client.ts'
import type { Display } from './display.ts'

export const project = {
  id: 'harbour',
  displayName: 'Harbour authority',
  quota: { cpu: '16', memory: '64Gi', storage: '2Ti', databases: 5 },
}

/** A database of two nodes: small enough for any cluster of two. */
export function database(storageClass: string) {
  return {
    id: 'tidal-gauge',
    version: '5.10.1',
    nodes: { count: 2, cpu: '500m', memory: '2Gi', disk: { size: '16Gi', storageClass } },
    users: [{ name: 'harbourmaster', generate: true }],
    allowedCIDRs: ['10.20.0.0/16'],
  }
}

/**
 * The main job as a cloud asks for it: a project, a database in it, which is then born over MQTT, one change, one refusal.
 * @throws Error when a step goes wrong
 */
export async function runScenario(client: Client, births: Births, display: Display): Promise<void> {
  const region = await expectStatus(client.call('GET', '/v1/region'), 200)
  display.line(`Region ${region.body.id}: Kubernetes ${region.body.kubernetes?.version}, ${region.body.hosts.length} hosts`)

  await carryOut(client, display, 'a project is put', 'PUT', `/v1/projects/${project.id}`, project)
  const path = `/v1/projects/${project.id}/databases/tidal-gauge`
  const wanted = database(storageClassOf(region))
  const plan = await expectStatus(persistent(client).call('PUT', `${path}?dryRun=true`, { body: wanted }), 200)
  display.line(`A dry run shows the plan first: ${plan.body.steps.map((step: { name: string }) => step.name).join(', ')}`)
  await carryOut(client, display, 'a database is put', 'PUT', path, wanted)
  await births.heard(isBirthOf('tidal-gauge'), 'The birth of the database tidal-gauge')
  await carryOut(client, display, 'it is scaled to 3 nodes', 'PATCH', path, { nodes: { count: 3 } })
  const refused = await expectStatus(client.call('PATCH', path, { body: { nodes: { disk: { size: '8Gi' } } } }), 422)
  display.line(`A disk that shrinks is refused: ${refused.body.faults?.[0]?.message ?? refused.body.detail}`)
  await deleteAndHaveBack(client, display, path)

  const { body } = await untilGreen(client, path, display)
  display.line(`Database ${body.id}: ${body.status.phase}, ${body.status.health.value}, version ${body.version}, ${body.nodes.count} nodes`)
}

/** Nothing is lost for good: the database is deleted, and comes back on the same volumes. @throws Error when one of them is another one */
async function deleteAndHaveBack(client: Client, display: Display, path: string): Promise<void> {
  const deletion = await carryOut(client, display, 'it is deleted', 'DELETE', path)
  const all = `/v1/projects/${project.id}/deleted-databases`
  const { body } = await expectStatus(client.call('GET', `${all}/${deletion.result?.deletedDatabase}`), 200)
  display.line(`Deleted, and kept until ${body.expiresAt.slice(0, 10)}: ${body.storage} in ${namesOf(body.volumes)}`)
  const { result } = await carryOut(client, display, 'it is had back', 'POST', `${all}/${body.id}/actions/undelete`)
  if (namesOf(result?.volumes ?? []) !== namesOf(body.volumes)) throw new Error(`it is back on ${namesOf(result?.volumes ?? [])}`)
  display.line('It is back on the same volumes, with the same passwords')
}

function namesOf(volumes: { volume: string }[]): string {
  return volumes
    .map(({ volume }) => volume)
    .sort()
    .join(', ')
}

const greenWithinMs = 180_000

/** The database, once the Crate Operator has told that it is: it asks each at an interval of its own. @throws Error when it is not after 180 s */
async function untilGreen(client: Client, path: string, display: Display): Promise<Answer> {
  for (const deadline = performance.now() + greenWithinMs; ; await sleep(200)) {
    const answer = await expectStatus(client.call('GET', path), 200)
    const { value } = answer.body.status.health
    if (value === 'GREEN') return answer
    if (performance.now() > deadline) throw new Error(`${path} is ${value} after ${greenWithinMs / 1000} s, not GREEN`)
    display.live(`  waiting until the database is GREEN, it is ${value}`)
  }
}

/** The birth of the device that a database of that name is. */
export function isBirthOf(name: string): (message: Message) => boolean {
  return ({ verb, device }) => verb === 'DBIRTH' && device !== undefined && device.startsWith('database:') && device.endsWith(name)
}

/** Sends a request that is accepted, and shows each step of its operation. Resolves with that once it has ended. @throws Error unless it succeeded */
async function carryOut(
  client: Client,
  display: Display,
  what: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<OperationNow> {
  const started = performance.now()
  const watching = new AbortController()
  const events = client.events('/v1/events?kinds=operation', watching.signal)
  const first = events.next() // the stream is open before the request is sent, so that no step is missed
  first.catch(() => {}) // it is waited for below, unless the request is refused
  const accepted = await expectStatus(persistent(client).call(method, path, { body, headers: { 'idempotency-key': randomUUID() } }), 202)
  const operation = accepted.body
  display.line(`→ ${what}: ${method} ${path} … 202, ${operation.id}: ${operation.planned.join(', ')}`)
  try {
    const ended = await follow(client, operation.id, events, first, (step) => display.live(`  ${operation.id} ${step}`))
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    const { phase, message, cure = '' } = ended
    if (phase !== 'Succeeded') throw new Error(`${operation.id} ${phase}: ${message}\n  ${cure}`)
    display.line(
      `✔ ${operation.id} Succeeded in ${seconds} s${accepted.body.credentials ? ', passwords were generated and given back once' : ''}`,
    )
    return ended
  } finally {
    watching.abort()
  }
}

/** An operation as the API and its events give it. */
type OperationNow = {
  id: string
  phase: string
  message?: string
  cure?: string
  step?: { name: string; message?: string }
  blockers?: { message: string }[]
  result?: { deletedDatabase?: string; volumes?: { volume: string }[] }
}

async function follow(
  client: Client,
  id: string,
  events: ReturnType<Client['events']>,
  first: ReturnType<ReturnType<Client['events']>['next']>,
  show: (step: string) => void,
): Promise<OperationNow> {
  const hasEnded = ({ phase }: OperationNow) => !['Accepted', 'Applying', 'Waiting'].includes(phase)
  let next = first
  for (;;) {
    const { value, done } = await next
    next = done ? next : events.next()
    next.catch(() => {}) // the stream is cut when the operation has ended
    const told = done || value?.event === 'relist' ? (await client.call('GET', `/v1/operations/${id}`)).body : JSON.parse(value.data).object
    const now = told as OperationNow
    if (now?.id !== id) continue
    const { phase, step, blockers, message } = now
    show([phase, step?.name, blockers?.[0]?.message ?? step?.message ?? message].filter(Boolean).join(' · '))
    if (hasEnded(now)) return now
    if (done) throw new Error(`the event stream ended while ${id} was ${phase}`)
  }
}

function storageClassOf({ body }: Answer): string {
  const classes: { name: string; expandable: boolean; isDefault: boolean }[] = body.storageClasses
  const chosen = classes.find(({ name }) => name === 'crate-premium') ?? classes.find(({ isDefault }) => isDefault) ?? classes[0]
  if (!chosen) throw new Error('The cluster has no storage class; databases need one.')
  return chosen.name
}

/**
 * A client that comes back for half a minute when it is told to, as clouds do. The API server admits by what its own watches have told it:
 * right after a project was made it may not know yet that the quota was counted.
 */
export function persistent(client: Client): Pick<Client, 'call'> {
  return {
    async call(method, path, call) {
      for (const deadline = performance.now() + 30_000; ; await sleep(200)) {
        const answer = await client.call(method, path, call)
        if (answer.status !== 503 || performance.now() > deadline) return answer
      }
    },
  }
}

async function expectStatus(answer: Promise<Answer>, status: number): Promise<Answer> {
  const given = await answer
  if (given.status === status) return given
  throw new Error(`expected status ${status}, got ${given.status}: ${given.text}`)
}
