import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { ledgerConfigMap, ledgerConfigMapName } from '../../../agent/operations/holes.ts'
import { type AcceptRequest, createJournal, type Journal, type Proposal } from '../../../agent/operations/journal.ts'
import { projectOfTarget } from '../../../agent/resources/kind.ts'
import type { Operation } from '../../../agent/resources/operation.ts'
import { systemClock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import { applyObject } from '../../../shared/kubernetes/apply.ts'
import { type Cache, createCache } from '../../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../shared/log.ts'
import { startCluster, type TestCluster, until } from '../../cluster/index.ts'
import { definitions, regionDefinitions } from '../../region/definitions.ts'
import { connectTo, install, installObject } from '../../shared/kubernetes/connected.ts'
import { faultOfChain } from './chain.ts'

const log = createLog({ level: 'error', name: 'test' })
let cluster: TestCluster
let admin: Cluster
let namespaces = 0

before(async () => {
  cluster = await startCluster({ crds: regionDefinitions() })
  admin = connectTo(cluster)
  await install(admin, definitions.skerry)
})
after(async () => {
  admin?.close()
  await cluster?.stop()
})

/** A connection whose watches tell nothing. */
function deaf(): Cluster {
  return {
    ...admin,
    async *watch(_path, _query, signal) {
      if (!signal.aborted) await once(signal, 'abort')
      yield* []
    },
  }
}

/** The record of the ledger, as the agent follows it. */
function recordIn(namespace: string): Cache<KubernetesObject> {
  const fieldSelector = `metadata.name=${ledgerConfigMapName}`
  return createCache({ kind: kinds.ConfigMap, namespace, fieldSelector }, { cluster: admin, clock: systemClock, log })
}

/** Notes the newest entry, as the leader does, and waits until the replicas know of it. */
async function note(namespace: string, { spec }: Operation, replicas: { ledger: Cache<KubernetesObject> }[]): Promise<void> {
  const record = { collectedUpTo: 0, head: { sequence: spec.sequence, hash: spec.hash }, holes: [] }
  await applyObject(admin, ledgerConfigMap(namespace, record, undefined), { fieldManager: 'test', force: true })
  for (const { ledger } of replicas) await until('the record is known', async () => ledger.size === 1)
}

type Test = { after(fn: () => Promise<void>): void }

/** One replica: a journal over a namespace, started. */
async function replicaIn(t: Test, namespace: string, cluster: Cluster = admin) {
  const operations = createCache<Operation>({ kind: kinds.Operation, namespace }, { cluster, clock: systemClock, log })
  const ledger = recordIn(namespace)
  const journal = createJournal({ namespace }, { cluster, operations, ledger, clock: systemClock })
  await Promise.all([operations.start(AbortSignal.timeout(10_000)), ledger.start(AbortSignal.timeout(10_000))])
  await journal.start(AbortSignal.timeout(10_000))
  t.after(async () => void (await Promise.all([operations.stop(0), ledger.stop(0)])))
  return { journal, operations, ledger }
}

/** A namespace of its own, and as many journals over it as there are replicas. */
async function journals(t: Test, replicas = 1, connections: Cluster[] = []) {
  const namespace = `journal-${namespaces++}`
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  const made: Awaited<ReturnType<typeof replicaIn>>[] = []
  for (let replica = 0; replica < replicas; replica++) made.push(await replicaIn(t, namespace, connections[replica]))
  return { namespace, journals: made.map(({ journal }) => journal), made }
}

function withoutPlanned({ planned: _, ...spec }: Operation['spec']): Operation['spec'] {
  return spec
}

let requests = 0
function request(proposal: Partial<Proposal> | (() => Proposal | undefined), rest: Partial<AcceptRequest> = {}): AcceptRequest {
  const requestId = `request-${requests++}`
  const whole: Proposal = {
    action: 'put',
    target: { kind: 'project', project: 'harbour' },
    wanted: { id: 'harbour' },
    timeoutSeconds: 60,
    tryOut: [],
    plan: [],
    ...(typeof proposal === 'function' ? {} : proposal),
  }
  const { target } = whole
  return {
    target,
    requestedBy: 'cloud',
    requestId,
    canonical: requestId,
    decide: typeof proposal === 'function' ? proposal : () => whole,
    ...rest,
  }
}

async function stored(namespace: string): Promise<Operation[]> {
  const { items } = await admin.request<{ items: Operation[] }>({ method: 'GET', path: pathOf(kinds.Operation, namespace) })
  return items
}

/** Ends an operation as its executor would. */
async function end(namespace: string, name: string): Promise<void> {
  const path = `${pathOf(kinds.Operation, namespace, name)}/status`
  await admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { status: { phase: 'Succeeded' } } })
}

describe('journal', () => {
  test('an entry says which steps were planned, and its hash holds without them, as where the CRD has no room for them', async (t) => {
    const {
      namespace,
      journals: [journal],
    } = await journals(t)
    const plan = ['allow-list', 'scale'].map((name) => ({ name, objects: [], consequences: [] }))
    for (const project of ['one', 'two']) await (journal as Journal).accept(request({ target: { kind: 'project', project }, plan }))
    const entries = await stored(namespace)
    assert.deepEqual(
      entries.map(({ spec }) => spec.planned),
      ['allow-list,scale', 'allow-list,scale'],
    )
    const pruned = entries.map((entry) => ({ ...entry, spec: withoutPlanned(entry.spec) }))
    assert.equal(faultOfChain(entries), undefined)
    assert.equal(faultOfChain(pruned), undefined)
    assert.match(entries[0]?.spec.previousHash ?? '', /^sha256:0{64}$/)
  })

  test('a key of another source is another key; of an unqualified name it counts for the same request alone', async (t) => {
    const {
      namespace,
      journals: [journal],
    } = await journals(t)
    const accept = async (requestedBy: string, canonical: string, formerly?: string) =>
      (await (journal as Journal).accept(request({}, { requestedBy, formerly, canonical, idempotencyKey: 'order-4711' }))).outcome
    assert.equal(await accept('token:cloud', 'a'), 'accepted')
    assert.equal(await accept('jwt:https://team.example/cloud', 'b', 'cloud'), 'accepted')
    assert.equal(await accept('cloud', 'c'), 'accepted', 'as version 0.1 did')
    for (const { metadata } of await stored(namespace)) await end(namespace, metadata.name)
    assert.equal(await accept('token:ferry', 'c', 'cloud'), 'repeated')
    assert.equal(await accept('token:ferry', 'd', 'cloud'), 'accepted')
    await assert.rejects(accept('token:cloud', 'b'), { type: 'idempotency-key-reused', detail: /operation op-0000000001/ })
    const elsewhere = request(
      { target: { kind: 'project', project: 'other' } },
      { requestedBy: 'token:cloud', canonical: 'b', idempotencyKey: 'order-4711' },
    )
    await assert.rejects((journal as Journal).accept(elsewhere), { detail: 'The key was used for a different request.' })
  })

  test('an accepted request stands in the cluster when accept resolves', async (t) => {
    const {
      namespace,
      journals: [journal],
    } = await journals(t)
    const accepted = await (journal as Journal).accept(request({}))
    assert.equal(accepted.outcome, 'accepted')
    const [operation] = await stored(namespace)
    assert.equal(operation?.metadata.name, 'op-0000000001')
    assert.deepEqual(operation?.spec.wanted, { id: 'harbour' })
  })

  test('concurrent requests at three replicas make one chain without gaps', async (t) => {
    const { namespace, journals: all } = await journals(t, 3)
    const many = Array.from({ length: 90 }, (_, index) =>
      (all[index % 3] as Journal).accept(request({ target: { kind: 'project', project: `p${index}` } })),
    )
    const outcomes = await Promise.all(many)
    assert.ok(outcomes.every(({ outcome }) => outcome === 'accepted'))
    const operations = await stored(namespace)
    assert.deepEqual(
      operations.map(({ spec }) => spec.sequence),
      Array.from({ length: 90 }, (_, index) => index + 1),
    )
    assert.equal(faultOfChain(operations), undefined)
  })

  test('a decision is made again when another request came first', async (t) => {
    const {
      journals: [first, second],
    } = await journals(t, 2)
    // A quota of five: each replica sees its own acceptances only after the fact.
    const accepted = new Set<number>()
    const attempts = Array.from({ length: 20 }, (_, index) => {
      const journal = (index % 2 ? first : second) as Journal
      const decide = (): Proposal | undefined => {
        if (journal.all().length >= 5) return undefined
        return { action: 'put', target: { kind: 'project', project: `q${index}` }, wanted: {}, timeoutSeconds: 1, tryOut: [], plan: [] }
      }
      return journal.accept(request(decide)).then(({ outcome }) => outcome === 'accepted' && accepted.add(index))
    })
    await Promise.all(attempts)
    assert.equal(accepted.size, 5)
  })

  test('a replica whose watch lags refuses nothing that what another one accepted allows', async (t) => {
    const { journals: both } = await journals(t, 2, [admin, deaf()])
    const [hears, lags] = both as [Journal, Journal]
    const needs = (count: number) => () => {
      if (lags.all().length < count) throw new Problem('not-found', `only ${lags.all().length} known`)
      return { action: 'put' as const, target: { kind: 'project' as const, project: 'quay' }, timeoutSeconds: 60, tryOut: [], plan: [] }
    }
    for (let index = 0; index < 3; index++) await hears.accept(request({ target: { kind: 'project', project: `p${index}` } }))
    const accepted = await lags.accept(request(needs(3)))
    assert.equal(accepted.outcome === 'accepted' && accepted.operation.spec.sequence, 4)
    await assert.rejects(lags.accept(request(needs(5))), { type: 'not-found', message: /only 4 known/ })
  })

  test('a replica whose watch lags knows the key of a request that another one accepted, though nothing is left to do', async (t) => {
    const { journals: both } = await journals(t, 2, [admin, deaf()])
    const [hears, lags] = both as [Journal, Journal]
    const first = request({}, { idempotencyKey: 'a' })
    await hears.accept(first)
    assert.equal((await lags.accept({ ...first, decide: () => undefined })).outcome, 'repeated')
  })

  test('a replica whose watch lags finds what another one accepted', async (t) => {
    const { journals: both } = await journals(t, 2, [admin, deaf()])
    const [hears, lags] = both as [Journal, Journal]
    await hears.accept(request({}))
    assert.equal((await lags.find('op-0000000001'))?.spec.sequence, 1)
    assert.equal(await lags.find('op-0000000002'), undefined)
    assert.equal(lags.all().length, 1)
  })

  test('a replica whose watch lags decides with what another one accepted, though the record of the ledger came first', async (t) => {
    const { namespace, journals: both, made } = await journals(t, 2, [admin, deaf()])
    const [hears, lags] = both as [Journal, Journal]
    const first = request({}, { idempotencyKey: 'a' })
    const [one, two, three] = [await hears.accept(first), await hears.accept(request({})), await hears.accept(request({}))]
    assert.ok(one.outcome === 'accepted' && two.outcome === 'accepted' && three.outcome === 'accepted')
    await admin.request({ method: 'DELETE', path: pathOf(kinds.Operation, namespace, two.operation.metadata.name) })
    await note(namespace, three.operation, made)
    assert.equal((await lags.find('op-0000000001'))?.spec.sequence, 1)
    assert.equal((await lags.accept(first)).outcome, 'repeated')
    const next = await lags.accept(request({}))
    assert.ok(next.outcome === 'accepted')
    assert.deepEqual(
      lags.all().map(({ spec }) => spec.sequence),
      [1, 3, 4],
    )
    assert.equal(next.operation.spec.previousHash, three.operation.spec.hash)
  })

  test('a replica gives no number twice, though the newest entry was deleted before it started', async (t) => {
    const { namespace, journals: before, made } = await journals(t)
    const [one, two] = [await before[0]?.accept(request({})), await before[0]?.accept(request({}))]
    assert.ok(one?.outcome === 'accepted' && two?.outcome === 'accepted')
    await note(namespace, two.operation, made)
    await admin.request({ method: 'DELETE', path: pathOf(kinds.Operation, namespace, two.operation.metadata.name) })
    const { journal } = await replicaIn(t, namespace)
    assert.deepEqual(journal.head(), { sequence: 2, hash: two.operation.spec.hash })
    const three = await journal.accept(request({}))
    assert.ok(three.outcome === 'accepted')
    assert.deepEqual([three.operation.spec.sequence, three.operation.spec.previousHash], [3, two.operation.spec.hash])
  })

  test('a replica whose watch lags, asked for a late entry, learns those before it in their order', async (t) => {
    const { namespace, journals: both, made } = await journals(t, 2, [admin, deaf()])
    const [hears, lags] = both as [Journal, Journal]
    for (let index = 0; index < 30; index++) await hears.accept(request({ target: { kind: 'project', project: `p${index}` } }))
    const heard: number[] = []
    made[1]?.operations.subscribe(({ object }) => void heard.push(object.spec.sequence))
    assert.equal((await lags.find('op-0000000030'))?.spec.sequence, 30)
    assert.deepEqual(
      heard,
      Array.from({ length: 30 }, (_, index) => index + 1),
    )
    assert.equal(faultOfChain(await stored(namespace)), undefined)
  })

  test('a replica whose watch lags does not take a request for the repetition of one that has ended', async (t) => {
    const { namespace, journals: both } = await journals(t, 2, [admin, deaf()])
    const [hears, lags] = both as [Journal, Journal]
    // Each with an id of its own, as HTTP requests have: with the same one, in the same millisecond, it would be one and the same entry.
    const again = () => request({}, { canonical: 'PUT same' })
    await hears.accept(again())
    assert.equal((await lags.accept(again())).outcome, 'repeated')
    await end(namespace, 'op-0000000001')
    assert.equal((await lags.accept(again())).outcome, 'accepted')
  })

  test('a replica whose watch lags refuses nothing because of an operation that has ended', async (t) => {
    const { namespace, journals: both } = await journals(t, 2, [admin, deaf()])
    const [hears, lags] = both as [Journal, Journal]
    const { target } = request({})
    await hears.accept(request({ action: 'delete' }))
    await lags.find('op-0000000001')
    await end(namespace, 'op-0000000001')
    const { decide } = request({})
    const unlessLeaving = () => {
      if (lags.unended(target).length > 0) throw new Problem('wrong-state', 'It is being deleted.')
      return decide()
    }
    assert.equal((await lags.accept(request(unlessLeaving))).outcome, 'accepted')
  })

  test('the same key and request returns the same operation, the same key and another request is refused', async (t) => {
    const {
      namespace,
      journals: [journal, other],
    } = await journals(t, 2)
    const first = await (journal as Journal).accept(request({}, { idempotencyKey: 'k1', canonical: 'PUT a' }))
    assert.equal(first.outcome, 'accepted')
    const again = await (journal as Journal).accept(request({}, { idempotencyKey: 'k1', canonical: 'PUT a' }))
    assert.equal(again.outcome, 'repeated')
    await assert.rejects((journal as Journal).accept(request({}, { idempotencyKey: 'k1', canonical: 'PUT b' })), {
      type: 'idempotency-key-reused',
    })
    const sameEverywhere = await Promise.all(
      [journal, other, journal, other].map((one) =>
        (one as Journal).accept(request({ target: { kind: 'project', project: 'x' } }, { idempotencyKey: 'k2', canonical: 'PUT x' })),
      ),
    )
    assert.equal(sameEverywhere.filter(({ outcome }) => outcome === 'accepted').length, 1)
    assert.equal((await stored(namespace)).length, 2)
  })

  test('the same request again while the first has not ended is the same operation, also without a key', async (t) => {
    const {
      namespace,
      journals: [journal],
    } = await journals(t)
    await (journal as Journal).accept(request({}, { canonical: 'PUT same' }))
    assert.equal((await (journal as Journal).accept(request({}, { canonical: 'PUT same' }))).outcome, 'repeated')
    assert.equal((await stored(namespace)).length, 1)
  })

  test('secrets of a request stand in a Secret and nowhere in the operation; a refused request leaves none behind', async (t) => {
    const {
      namespace,
      journals: [journal],
    } = await journals(t)
    const secrets = { 'users.0.password': 'correct horse battery' }
    const accepted = await (journal as Journal).accept(request({ secrets }))
    assert.ok(accepted.outcome === 'accepted')
    assert.ok(!JSON.stringify(accepted.operation).includes('correct horse'))
    const secret = await admin.request({ method: 'GET', path: pathOf(kinds.Secret, namespace, accepted.operation.spec.secretName) })
    assert.equal(Buffer.from(secret.data['users.0.password'], 'base64').toString(), 'correct horse battery')
    const tryOut = [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'UPPER', namespace } }]
    await assert.rejects((journal as Journal).accept(request({ secrets, tryOut })), { type: 'rejected-by-cluster' })
    const kept = await admin.request({
      method: 'GET',
      path: pathOf(kinds.Secret, namespace),
      query: { labelSelector: 'skerry.dev/operation-secret' },
    })
    assert.equal(kept.items.length, 1)
  })

  // Only the embedded API server can be made to lose answers.
  if (process.env.SKERRY_CLUSTER !== 'real')
    test('a write whose answer is lost is found again and not done twice', async (t) => {
      const {
        namespace,
        journals: [journal],
      } = await journals(t)
      cluster.faults?.set({ lostAnswerRate: 0.3, errorRate: 0.1 })
      try {
        for (let index = 0; index < 30; index++)
          await (journal as Journal).accept(request({ target: { kind: 'project', project: `l${index}` } }))
      } finally {
        cluster.faults?.clear()
      }
      const operations = await stored(namespace)
      assert.equal(operations.length, 30)
      assert.equal(new Set(operations.map(({ spec }) => projectOfTarget(spec.target))).size, 30)
      assert.equal(faultOfChain(operations), undefined)
    })

  test('waiting for the end returns the operation as it is when time is up, and ended when it ends', async (t) => {
    const {
      namespace,
      journals: [journal],
    } = await journals(t)
    const accepted = await (journal as Journal).accept(request({}))
    assert.ok(accepted.outcome === 'accepted')
    const { name } = accepted.operation.metadata
    const signal = AbortSignal.timeout(10_000)
    assert.equal((await (journal as Journal).whenEnded(name, 20, signal)).status?.phase, 'Accepted')
    const waiting = (journal as Journal).whenEnded(name, 10_000, signal)
    await end(namespace, name)
    assert.equal((await waiting).status?.phase, 'Succeeded')
    await assert.rejects((journal as Journal).cancel(name, 'cloud'), { type: 'ended' })
  })

  test('a refusal of the server that starts says nothing of a write whose answer was lost', async (t) => {
    let answers = 0
    const starting: Cluster = {
      ...admin,
      async request(given) {
        if (given.method !== 'POST' || !given.path.endsWith('/operations')) return admin.request(given)
        answers++
        if (answers === 2) throw new Problem('cluster-forbidden', 'operations is forbidden')
        const answer = await admin.request(given)
        if (answers === 1) throw new Problem('cluster-unreachable', 'no answer')
        return answer
      },
    }
    const { namespace, journals: all } = await journals(t, 1, [starting])
    const accepted = await (all[0] as Journal).accept(request({}))
    assert.deepEqual([accepted.outcome, answers, (await stored(namespace)).length], ['accepted', 3, 1])
  })

  test('keeps the secrets of a request of which nobody knows whether it was accepted', async (t) => {
    const namespace = `journal-${namespaces++}`
    await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
    const operations = createCache<Operation>({ kind: kinds.Operation, namespace }, { cluster: admin, clock: systemClock, log })
    let moment = 0
    const clock = { ...systemClock, monotonic: () => (moment += 60_000) } // the time for asking again is over at once
    const deaf: Cluster = {
      ...admin,
      async request(given) {
        const answer = await admin.request(given)
        if (given.method === 'POST' && given.path.endsWith('/operations')) throw new Problem('cluster-unreachable', 'no answer')
        return answer
      },
    }
    const journal = createJournal({ namespace }, { cluster: deaf, operations, ledger: recordIn(namespace), clock })
    await operations.start(AbortSignal.timeout(10_000))
    t.after(() => operations.stop(0))
    await journal.start(AbortSignal.timeout(10_000))
    await assert.rejects(journal.accept(request({ secrets: { password: 'a long password' } })), { type: 'cluster-unreachable' })
    const [operation] = await stored(namespace)
    const path = pathOf(kinds.Secret, namespace, operation?.spec.secretName)
    assert.equal(Buffer.from((await admin.request({ method: 'GET', path })).data.password, 'base64').toString(), 'a long password')
  })
})
