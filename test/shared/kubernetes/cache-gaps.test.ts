import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Problem } from '../../../shared/errors.ts'
import { createCache } from '../../../shared/kubernetes/cache.ts'
import type { Cluster, ClusterRequest, WatchEvent } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds } from '../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../shared/log.ts'
import { createFakeClock } from '../fake-clock.ts'

const log = createLog({ level: 'silent', name: 'test' })

function project(name: string, resourceVersion: string, uid = name): KubernetesObject {
  return { apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name, resourceVersion, uid } }
}

/** A cache over pages and watches that the test answers. */
function cacheOver(t: { after(fn: () => Promise<void>): void }, page: (request: ClusterRequest) => unknown) {
  const watched: string[] = []
  const waiting: (WatchEvent | Error)[] = []
  let wake = () => {}
  const cluster: Cluster = {
    server: new URL('https://127.0.0.1:1'),
    // biome-ignore lint/suspicious/noExplicitAny: as the interface has it
    request: async (request): Promise<any> => page(request),
    async *watch(_path, query, signal) {
      watched.push(String(query.resourceVersion))
      signal.addEventListener('abort', () => wake(), { once: true })
      while (!signal.aborted) {
        for (const next of waiting.splice(0)) {
          if (next instanceof Error) throw next
          yield next
        }
        await new Promise<void>((resolve) => {
          wake = resolve
          if (waiting.length > 0 || signal.aborted) resolve()
        })
      }
    },
    close: () => {},
  }
  const clock = createFakeClock()
  const cache = createCache({ kind: kinds.Project }, { cluster, clock, log })
  t.after(() => cache.stop(0))
  return {
    cache,
    clock,
    watched,
    async tell(...next: (WatchEvent | Error)[]) {
      waiting.push(...next)
      wake()
      await clock.advance(0)
    },
  }
}

const names = (cache: { values(): Iterable<KubernetesObject> }) => [...cache.values()].map(({ metadata }) => metadata.name).sort()

test('begins a list anew that broke off between two pages', async (t) => {
  let failures = 1
  const { cache, clock, watched } = cacheOver(t, ({ query }) => {
    if (!query?.continue) return { metadata: { resourceVersion: '10', continue: 'more' }, items: [project('anchor', '3')] }
    if (failures-- > 0) throw new Problem('cluster-unreachable', 'no answer')
    return { metadata: { resourceVersion: '10' }, items: [project('buoy', '4')] }
  })
  const started = cache.start(new AbortController().signal)
  await clock.advance(10_000)
  await started
  assert.deepEqual([cache.synced, names(cache)], [true, ['anchor', 'buoy']])
  assert.deepEqual(watched, ['10'])
})

test('an answer without items after a gap removes nothing: the list is read again', async (t) => {
  let answer: object = { metadata: { resourceVersion: '10' }, items: [project('anchor', '3')] }
  const { cache, clock, tell } = cacheOver(t, () => answer)
  const started = cache.start(new AbortController().signal)
  await clock.advance(0)
  await started
  answer = { metadata: { resourceVersion: '20' } }
  await tell(new Problem('gone', 'too old'))
  await clock.advance(10_000)
  assert.deepEqual(names(cache), ['anchor'])
  assert.match(cache.trouble ?? '', /without a list of projects/)
  answer = { metadata: { resourceVersion: '20' }, items: [] }
  await clock.advance(10_000)
  assert.deepEqual(names(cache), [])
})

test('a list after a gap takes away what went in it, also what was written from here meanwhile', async (t) => {
  let items = [project('anchor', '3'), project('buoy', '4')]
  let version = '10'
  let whileListing = () => {}
  const { cache, clock, watched, tell } = cacheOver(t, () => {
    whileListing()
    return { metadata: { resourceVersion: version }, items }
  })
  const started = cache.start(new AbortController().signal)
  await clock.advance(0)
  await started
  items = [project('anchor', '3')]
  version = '20'
  whileListing = () => cache.put(project('cable', '15')) // written and deleted before the list was read
  await tell(new Problem('gone', 'too old'))
  await clock.advance(10_000)
  assert.deepEqual(names(cache), ['anchor'])
  assert.deepEqual(watched, ['10', '20'])
})

test('keeps an object that was written anew when the end of the one before is heard late', async (t) => {
  const { cache, clock, tell } = cacheOver(t, () => ({ metadata: { resourceVersion: '10' }, items: [project('anchor', '3')] }))
  const started = cache.start(new AbortController().signal)
  await clock.advance(0)
  await started
  cache.put(project('anchor', '30'))
  await tell({ type: 'DELETED', object: project('anchor', '20') })
  assert.deepEqual(names(cache), ['anchor'])
  await tell({ type: 'DELETED', object: project('anchor', '40') })
  assert.deepEqual(names(cache), [])
})

const ways: [string, (given: ReturnType<typeof cacheOver>) => unknown][] = [
  ['the end of the one before is heard after the answer to its writer', ({ cache }) => cache.put(project('anchor', '30', 'another'))],
  ['neither was heard, in a gap of the watch', ({ tell }) => tell(new Problem('gone', 'too old'))],
]
for (const [name, happen] of ways)
  test(`an object made anew is told as removed and added when ${name}`, async (t) => {
    let items = [project('anchor', '3')]
    const given = cacheOver(t, () => ({ metadata: { resourceVersion: '10' }, items }))
    const started = given.cache.start(new AbortController().signal)
    await given.clock.advance(0)
    await started
    const told: string[] = []
    given.cache.subscribe(({ type, object }) => told.push(`${type} ${object.metadata.uid}`))
    items = [project('anchor', '30', 'another')]
    await happen(given)
    await given.clock.advance(10_000)
    assert.deepEqual(told, ['removed anchor', 'added another'])
    assert.equal(given.cache.get('anchor')?.metadata.uid, 'another')
  })

test('says that trouble begins and that it ends, each once, and when the API server was last heard of', async (t) => {
  const { cache, clock, tell } = cacheOver(t, () => ({ metadata: { resourceVersion: '10' }, items: [] }))
  const told: (string | undefined)[] = []
  cache.onTrouble(() => told.push(cache.trouble))
  const started = cache.start(new AbortController().signal)
  await clock.advance(0)
  await started
  const heardAt = clock.monotonic()
  assert.equal(cache.heardAt, heardAt)
  for (const why of ['no answer', 'no answer again']) {
    await tell(new Problem('cluster-unreachable', why))
    await clock.advance(60_000)
  }
  assert.deepEqual([told, cache.heardAt], [['no answer'], heardAt])
  await tell({ type: 'BOOKMARK', object: project('', '11') })
  assert.deepEqual([told, cache.heardAt], [['no answer', undefined], clock.monotonic()])
})
