import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { backoff, type Clock } from '../../shared/clock.ts'
import { isProblem, Problem } from '../../shared/errors.ts'
import { applyObject } from '../../shared/kubernetes/apply.ts'
import type { Cache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { unlessGone } from '../../shared/kubernetes/failures.ts'
import { type KubernetesObject, keyOf, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Secrets, Step, Target } from '../resources/kind.ts'
import { fieldManager, label, managedBy } from '../resources/labels.ts'
import { hasEnded, type Operation, type OperationSpec, operationName, sequenceOf, targetKey } from '../resources/operation.ts'
import { chainEntry } from './ledger.ts'
import { createRegister } from './register.ts'

/** How often the executor may come in between a cancellation and its write. */
const cancelAttempts = 10

/** What is to be accepted, after everything was checked that can be checked without asking the API server. */
export type Proposal = {
  /** The name of an action. */
  action: string
  target: Target
  /** The desired state without secrets, as the resource's schema gives it; for an action that asks for a state. */
  wanted?: unknown
  parameters?: Record<string, unknown>
  /** Kept in a Secret until applied. */
  secrets?: Secrets
  timeoutSeconds: number
  /** Objects that the API server is asked about (dry run) before the operation is written. */
  tryOut: KubernetesObject[]
  /** The steps that it is going to take, by what is known now: what a dry run shows. */
  plan: Step[]
}

export type AcceptRequest = {
  /** What it is about. */
  target: Target
  /** The identity's name. */
  requestedBy: string
  requestId: string
  idempotencyKey?: string | undefined
  /** What the request is, in canonical form: method, path, body. Only a keyed hash of it is kept. */
  canonical: string
  /**
   * Decides on the request against everything accepted so far; `undefined` when there is nothing to do.
   * It is called again when another request was accepted meanwhile, here or at another replica, so it must only read.
   * @throws Problem when the request is refused
   */
  decide: () => Proposal | undefined
}

export type Accepted =
  /** Written by this call. */
  | { outcome: 'accepted'; operation: Operation }
  /** The same request was accepted before: by its idempotency key, or without one it is the newest of its target and has not ended. */
  | { outcome: 'repeated'; operation: Operation }
  | { outcome: 'unchanged' }

/** The durable, ordered record of what was accepted. Ready once it has its key and has seen every operation. */
export type Journal = Part & {
  /**
   * Writes one operation. When this resolves the operation stands in etcd.
   * @throws Problem what `decide` throws; `rejected-by-cluster` and others from the dry run; `idempotency-key-reused`;
   *   `cluster-unreachable` when it could not be learned whether the operation was written
   */
  accept(request: AcceptRequest): Promise<Accepted>
  /** Asks for the end of an operation. @throws Problem `not-found`, `conflict` when it has ended */
  cancel(name: string, by: string): Promise<Operation>
  /** The operation once it has ended, or as it is when `ms` milliseconds have passed or the signal aborts. */
  whenEnded(name: string, ms: number, signal: AbortSignal): Promise<Operation>
  /** An operation that is kept, also one that another replica accepted a moment ago and the watch has not told yet. */
  find(name: string): Promise<Operation | undefined>
  /** All that are kept, by sequence. */
  all(): Operation[]
  /** Those of a target that have not ended, by sequence. */
  unended(target: Target): Operation[]
  /** The newest operation of a target that succeeded and says which version of it it saw, as long as it is kept. */
  lastSucceeded(target: Target): Operation | undefined
  /** The targets that have operations that have not ended. */
  unendedTargets(): Target[]
}

/** Secrets of a request that stand in a Secret already, before its operation does. */
type KeptSecrets = { name: string; secrets: Secrets }

/** How long the outcome of a write that got no answer is looked for, in milliseconds. */
const unknownOutcomeMs = 15_000
const pauses = { baseMs: 100, capMs: 2_000 }
/** Requests that may wait for their turn to be written; the next one is told to come back. */
const maxWaiting = 500

/**
 * A journal whose entries are `Operation` objects named by their place in the ledger.
 *
 * Accepting is a compare-and-swap on the ledger's head: the entry is created under the next name, and of two that try the
 * same name, in whatever replica, the API server lets one through. The other reads what came first, decides again and takes
 * the next place. What is refused is refused only after a look at the place that would be next, and at the open operations of its
 * target, for a watch may lag. So every decision was made with all earlier entries known, and numbers have no gaps.
 */
export function createJournal(
  { namespace }: { namespace: string },
  { cluster, operations, clock }: { cluster: Cluster; operations: Cache<Operation>; clock: Clock },
): Journal {
  const register = createRegister(operations)
  let key: Buffer | undefined
  let turn: Promise<unknown> = Promise.resolve()
  let waiting = 0

  /** Runs one writer at a time. */
  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (waiting >= maxWaiting) throw new Problem('busy', `${waiting} requests wait to be accepted`, { retryAfterSeconds: 2 })
    waiting++
    const mine = turn.then(work, work)
    turn = mine
    try {
      return await mine
    } finally {
      waiting--
    }
  }

  function fingerprintOf(canonical: string): string {
    if (!key) throw new Problem('not-ready', 'The journal has not read its key yet.')
    return `hmac-sha256:${createHmac('sha256', key).update(canonical).digest('hex')}`
  }

  async function accept(request: AcceptRequest): Promise<Accepted> {
    const fingerprint = fingerprintOf(request.canonical)
    let tried: KubernetesObject[] | undefined
    let kept: KeptSecrets | undefined
    try {
      for (;;) {
        const repeated = register.repeatOf(request, fingerprint)
        // Without a key it is one only as long as that has not ended.
        if (repeated && request.idempotencyKey === undefined && (await haveEnded([repeated]))) continue
        if (repeated) return { outcome: 'repeated', operation: repeated }
        const decidedAt = register.head()
        const { proposal, refusal } = decisionOn(request)
        if (!proposal) {
          if ((await readNext()) || (await haveEnded(register.unended(targetKey(request.target))))) continue
          if (refusal !== undefined) throw refusal
          return { outcome: 'unchanged' }
        }
        // Side by side, since each of them costs as much as the entry itself. What is refused takes its Secret away again.
        const [trying, keeping] = await Promise.allSettled([
          isDeepStrictEqual(tried, proposal.tryOut) ? undefined : tryOut(proposal.tryOut),
          keepSecrets(proposal.secrets, kept),
        ])
        if (keeping.status === 'fulfilled') kept = keeping.value
        for (const part of [trying, keeping]) if (part.status === 'rejected') throw part.reason
        tried = proposal.tryOut
        const entry = entryOf(request, proposal, fingerprint, kept?.name)
        const operation = await inTurn(async () => {
          const unmoved = register.head() === decidedAt
          const stillSo = unmoved || (!register.repeatOf(request, fingerprint) && isDeepStrictEqual(decisionOn(request).proposal, proposal))
          if (!stillSo) return undefined
          // From here on its Secret may be the operation's, also where no answer comes: only another one in its place says that it is not.
          const mine = kept
          kept = undefined
          const written = await write(entry)
          if (!written) kept = mine
          return written
        })
        if (!operation) continue
        return { outcome: 'accepted', operation }
      }
    } finally {
      if (kept) await dropSecret(kept.name)
    }
  }

  function entryOf(request: AcceptRequest, proposal: Proposal, fingerprint: string, secretName: string | undefined) {
    const { action, target, wanted, parameters, timeoutSeconds, plan } = proposal
    return {
      acceptedAt: new Date(clock.now()).toISOString(),
      requestedBy: request.requestedBy,
      requestId: request.requestId,
      fingerprint,
      action,
      target,
      ...(plan.length > 0 && { planned: plan.map(({ name }) => name).join(',') }),
      timeoutSeconds,
      ...(request.idempotencyKey !== undefined && { idempotencyKey: request.idempotencyKey }),
      ...(wanted !== undefined && { wanted }),
      ...(parameters && { parameters }),
      ...(secretName !== undefined && { secretName }),
    }
  }

  /** What the API server would refuse later is refused now, with its own field paths. */
  async function tryOut(objects: KubernetesObject[]): Promise<void> {
    await Promise.all(objects.map((object) => applyObject(cluster, object, { fieldManager, force: true, dryRun: true })))
  }

  /** Creates the entry at the ledger's head; undefined when another one took that place. */
  async function write(entry: Omit<OperationSpec, 'sequence' | 'previousHash' | 'hash'>): Promise<Operation | undefined> {
    const spec = chainEntry(register.head(), entry)
    const operation = operationOf(spec)
    const until = clock.monotonic() + unknownOutcomeMs
    let isUnknown = false
    for (let attempt = 0; ; attempt++) {
      try {
        return await create(operation)
      } catch (error) {
        // Without an answer the entry may stand or not. The same name is tried again until that is known: what a server that starts
        // refuses meanwhile says nothing of it.
        isUnknown ||= isProblem(error, 'cluster-unreachable', 'cluster-error')
        if (!isUnknown) throw error
        if (clock.monotonic() >= until) throw unknownOutcome(error)
        await clock.sleep(backoff(pauses, attempt, Math.random()))
      }
    }
  }

  async function create(operation: Operation): Promise<Operation | undefined> {
    try {
      const written = await cluster.request<Operation>({ method: 'POST', path: pathOf(kinds.Operation, namespace), body: operation })
      operations.put(written)
      return written
    } catch (error) {
      if (isProblem(error, 'already-exists')) return takenBy(operation)
      throw error
    }
  }

  /** What stands in the place that was tried: this very entry, written by an attempt whose answer was lost, or another. */
  async function takenBy({ metadata, spec }: Operation): Promise<Operation | undefined> {
    const there = await read(metadata.name)
    return there?.spec.hash === spec.hash ? there : undefined
  }

  /** The entry after the head, in case it was written and not told yet. */
  function readNext(): Promise<Operation | undefined> {
    return read(operationName(register.head().sequence + 1))
  }

  /** Whether one of these, which had not ended as far as was heard, has: an end takes no place in the ledger. */
  async function haveEnded(open: Operation[]): Promise<boolean> {
    const now = await Promise.all(open.map(({ metadata }) => read(metadata.name)))
    return now.some((operation) => operation !== undefined && hasEnded(operation))
  }

  /** Reads one from the API server into the cache; undefined when there is none. */
  async function read(name: string): Promise<Operation | undefined> {
    const there = await unlessGone(cluster.request<Operation>({ method: 'GET', path: pathOf(kinds.Operation, namespace, name) }))
    if (there) operations.put(there)
    return there
  }

  async function find(name: string): Promise<Operation | undefined> {
    const known = operations.get(keyOf({ namespace, name }))
    return known ?? (sequenceOf(name) > register.head().sequence ? read(name) : undefined)
  }

  function operationOf(spec: OperationSpec): Operation {
    const { target } = spec
    const database = target.kind === 'database' ? { [label.database]: target.database } : {}
    return {
      apiVersion: kinds.Operation.apiVersion,
      kind: 'Operation',
      metadata: {
        name: operationName(spec.sequence),
        namespace,
        labels: { ...managedBy, [label.project]: target.project, ...database },
      },
      spec,
    }
  }

  /** @param kept what an earlier decision on the same request had kept; another decision may need other secrets, or none */
  async function keepSecrets(secrets: Secrets | undefined, kept: KeptSecrets | undefined): Promise<KeptSecrets | undefined> {
    if (kept && isDeepStrictEqual(kept.secrets, secrets)) return kept
    if (kept) await dropSecret(kept.name)
    if (!secrets) return undefined
    const name = `operation-${randomUUID()}`
    const metadata = { name, namespace, labels: { ...managedBy, [label.operationSecret]: 'true' } }
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata, immutable: true, stringData: secrets }
    await cluster.request({ method: 'POST', path: pathOf(kinds.Secret, namespace), body: secret })
    return { name, secrets }
  }

  async function dropSecret(name: string): Promise<void> {
    // One that stays behind is taken away by the collector.
    await cluster.request({ method: 'DELETE', path: pathOf(kinds.Secret, namespace, name) }).catch(() => {})
  }

  /** The executor writes the same object; whose write came second tries again on what it is by then. */
  async function cancel(name: string, by: string): Promise<Operation> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await tryToCancel(name, by)
      } catch (error) {
        if (!isProblem(error, 'conflict') || attempt === cancelAttempts) throw error
        await clock.sleep(20 * attempt)
        await read(name)
      }
    }
  }

  async function tryToCancel(name: string, by: string): Promise<Operation> {
    const operation = operations.get(keyOf({ namespace, name }))
    if (!operation) throw new Problem('not-found', `There is no operation ${name}.`)
    if (hasEnded(operation)) throw new Problem('ended', `Operation ${name} has ended: ${operation.status?.phase}.`)
    if (operation.status?.cancelRequested) return operation
    const status = { phase: operation.status?.phase ?? 'Accepted', cancelRequested: { by, at: new Date(clock.now()).toISOString() } }
    const cancelled = await cluster.request<Operation>({
      method: 'PATCH',
      path: `${pathOf(kinds.Operation, namespace, name)}/status`,
      contentType: 'application/merge-patch+json',
      body: { metadata: { resourceVersion: operation.metadata.resourceVersion }, status },
    })
    operations.put(cancelled)
    return cancelled
  }

  function whenEnded(name: string, ms: number, signal: AbortSignal): Promise<Operation> {
    const wanted = keyOf({ namespace, name })
    const now = operations.get(wanted)
    if (!now) throw new Problem('not-found', `There is no operation ${name}.`)
    if (hasEnded(now) || ms <= 0) return Promise.resolve(now)
    return new Promise((resolve) => {
      const over = AbortSignal.any([signal, AbortSignal.timeout(ms)])
      const finish = () => {
        unsubscribe()
        over.removeEventListener('abort', finish)
        resolve(operations.get(wanted) ?? now)
      }
      const unsubscribe = operations.subscribe(({ key, object }) => {
        if (key === wanted && hasEnded(object)) finish()
      })
      if (over.aborted) finish()
      else over.addEventListener('abort', finish, { once: true })
    })
  }

  return {
    name: 'journal',
    async start() {
      key = await keyOfRegion(cluster, namespace)
    },
    async stop() {},
    accept,
    cancel,
    whenEnded,
    find,
    all: register.all,
    unended: (target) => register.unended(targetKey(target)),
    lastSucceeded: (target) => register.lastSucceeded(targetKey(target)),
    unendedTargets: register.unendedTargets,
  }
}

/** What the request asks for, or why it is refused; neither when there is nothing to do. */
function decisionOn({ decide }: AcceptRequest): { proposal?: Proposal | undefined; refusal?: unknown } {
  try {
    return { proposal: decide() }
  } catch (refusal) {
    return { refusal }
  }
}

/** The key of the region's fingerprints: made once by whichever replica comes first. */
async function keyOfRegion(cluster: Cluster, namespace: string): Promise<Buffer> {
  const name = 'skerry-fingerprint-key'
  const path = pathOf(kinds.Secret, namespace)
  const read = async () => {
    const secret = await cluster.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.Secret, namespace, name) })
    return Buffer.from(secret.data?.key ?? '', 'base64')
  }
  const standing = await unlessGone(read())
  if (standing) return standing
  const fresh = randomBytes(32)
  const metadata = { name, namespace, labels: managedBy }
  const body = { apiVersion: 'v1', kind: 'Secret', metadata, immutable: true, data: { key: fresh.toString('base64') } }
  try {
    await cluster.request({ method: 'POST', path, body })
    return fresh
  } catch (error) {
    if (isProblem(error, 'already-exists')) return read()
    throw error
  }
}

function unknownOutcome(cause: unknown): Problem {
  return new Problem(
    'cluster-unreachable',
    'The API server gave no answer, so it is not known whether the request was accepted. Repeat it with the same Idempotency-Key.',
    { cause },
  )
}
