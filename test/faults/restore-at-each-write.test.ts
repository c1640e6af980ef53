import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Proposal } from '../../agent/operations/journal.ts'
import { scratchOf } from '../../agent/resources/copied-database.ts'
import type { StoredDatabaseSpec } from '../../agent/resources/database.ts'
import { deletion, hasEnded, type Operation } from '../../agent/resources/operation.ts'
import { Problem } from '../../shared/errors.ts'
import { type ActingRegion, smallDatabase, startActingRegion } from '../agent/operations/acting-region.ts'
import { fill, fresh, keepSnapshots, withSnapshots } from '../agent/operations/snapshot-scene.ts'
import { until } from '../cluster/index.ts'

/* Restores of Skerry's own backups, whose process dies at each thing that it writes down, asks for, or has CrateDB do. */

let region: ActingRegion
let source: StoredDatabaseSpec
before(async () => {
  region = await startActingRegion()
  await region.ended(await region.putProject('harbour'))
  const created = await region.ended(
    await region.putDatabase('harbour', { id: 'tidal', ...withSnapshots(smallDatabase({ id: 'tidal' })) } as never),
  )
  source = created.spec.wanted as StoredDatabaseSpec
  keepSnapshots({ region }, 'tidal')
})
after(() => region?.close())

const database = (id: string) => ({ kind: 'database' as const, project: 'harbour', database: id })
const stateOf = (id: string) => region.standIns.database.state('project-harbour', id)
const restore = { snapshot: 'latest', from: 'snapshots', type: 'all', tables: [], sections: [], partitions: [] }

type Scenario = {
  name: string
  prepare(): void
  proposal(n: number): Omit<Proposal, 'tryOut' | 'plan' | 'timeoutSeconds'>
  judge(operation: Operation, n: number): Promise<void> | void
}

const scenarios: Scenario[] = [
  {
    name: 'restore into the database itself',
    prepare: () => fresh({ region }, 'tidal'),
    proposal: () => ({ action: 'restore', target: database('tidal'), parameters: restore }),
    judge: () => assert.equal(stateOf('tidal').tables.get('doc.readings')?.rows, 100),
  },
  {
    name: 'restore into a new database',
    prepare: () => fill({ region }, 'tidal'),
    proposal: (n) => ({ action: 'restore', target: database('tidal'), parameters: { ...restore, into: `copy-${n}` } }),
    async judge(_operation, n) {
      assert.equal(stateOf(`copy-${n}`).tables.get('doc.readings')?.rows, 100)
      assert.deepEqual([...stateOf(`copy-${n}`).registered.keys()], [])
      await region.ended(await region.accept({ action: deletion, target: database(`copy-${n}`), parameters: { retainVolumes: false } }))
    },
  },
  {
    name: 'rehearsal',
    prepare: () => fill({ region }, 'tidal'),
    proposal: () => {
      const wanted = scratchOf(source, 'tidal-rehearsal', { operation: '', of: 'tidal' }, { bytes: 0n, shards: 8 })
      return { action: 'rehearse-restore', target: database('tidal'), parameters: { database: wanted.id, wanted } }
    },
    async judge({ status }) {
      assert.deepEqual([status?.result?.rows, status?.result?.equal], [107, 2])
      await scratchIsGone()
    },
  },
]

async function scratchIsGone(): Promise<void> {
  const all = () => region.journal.all().filter(({ spec }) => spec.target.kind === 'database' && spec.target.database === 'tidal-rehearsal')
  await until(
    'all is over that was asked for it, and it is gone',
    async () => all().every(hasEnded) && ![...region.caches.databases.values()].some(({ metadata }) => metadata.name === 'tidal-rehearsal'),
  )
}

/** The acting half dies at the n-th of its own writes and changes by SQL: it was done, and its answer never came. */
function dieAt(n: number, name: string): Promise<void> {
  let count = 0
  return new Promise((died) => {
    const die = async <T>(isCounted: boolean, send: () => Promise<T>): Promise<T> => {
      if (count >= n) throw new Problem('cluster-unreachable', 'the process is dead')
      if (!isCounted || ++count < n) return send()
      // Whatever the answer is: nobody hears it.
      await send().catch(() => {})
      died()
      throw new Problem('cluster-unreachable', 'the process is dead')
    }
    region.intercept(({ method, path }, send) => {
      const isOwn = path.includes(`/operations/${name}`) && method !== 'GET'
      return die(isOwn || (method === 'POST' && path.endsWith('/operations')), send)
    })
    region.interceptSql((statement, send) => die(/^(RESTORE|CREATE|DROP)/.test(statement), send))
  })
}

/** Begins it, dies there and goes on as another process. `undefined` when it was through before. */
async function survive({ prepare, proposal }: Scenario, n: number): Promise<Operation | undefined> {
  prepare()
  region.lead(false)
  const operation = await region.accept(proposal(n))
  const died = dieAt(n, operation.metadata.name)
  region.lead(true)
  const isThrough = await Promise.race([died.then(() => false), region.ended(operation).then(() => true)])
  if (isThrough) {
    region.intercept()
    region.interceptSql()
    return undefined
  }
  await region.restart()
  return region.ended(operation)
}

describe('a restore by SQL, dying at each thing that it does', () => {
  for (const scenario of scenarios) {
    test(`${scenario.name}: comes to its end all the same`, async () => {
      let crashes = 0
      for (let operation = await survive(scenario, 1); operation; operation = await survive(scenario, crashes + 1)) {
        crashes++
        assert.equal(operation.status?.phase, 'Succeeded', `${crashes}: ${JSON.stringify(operation.status)}`)
        await scenario.judge(operation, crashes)
      }
      assert.ok(crashes > 6, `${crashes}`)
    })
  }

  test('what a rehearsal has left behind is deleted by the next process, also if it never got to know of its failure', async () => {
    fill({ region }, 'tidal')
    const { folders } = region.standIns.database.bucket('harbour-snapshots')
    const kept = new Map(folders)
    folders.clear()
    region.lead(false)
    const rehearsal = scenarios.find(({ name }) => name === 'rehearsal')
    const operation = await region.accept(rehearsal?.proposal(0) ?? assert.fail())
    // It dies when it asks for the deletion: that is not accepted.
    const died = Promise.withResolvers<void>()
    region.intercept((request, send) => {
      const asks = request.method === 'POST' && request.path.endsWith('/operations') && JSON.stringify(request.body).includes('"delete"')
      if (!asks) return send()
      died.resolve()
      throw new Problem('cluster-unreachable', 'the process is dead')
    })
    region.lead(true)
    await died.promise
    assert.ok(region.caches.databases.get('project-harbour/tidal-rehearsal'))
    await region.restart()
    const { status } = await region.ended(operation)
    assert.deepEqual([status?.phase, status?.reason], ['Failed', 'NoSnapshot'])
    await until('it is gone', async () => region.caches.databases.get('project-harbour/tidal-rehearsal') === undefined)
    await scratchIsGone()
    for (const [folder, snapshots] of kept) folders.set(folder, snapshots)
  })
})
