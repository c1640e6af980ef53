import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { type Answered, type QuietRegion, startQuietRegion, storageClasses, usualDatabase, usualNodes } from './region.ts'

let region: QuietRegion
const databases = '/v1/projects/harbour/databases'
const path = `${databases}/tidal-gauge`

before(async () => {
  region = await startQuietRegion()
  for (const storageClass of storageClasses) await region.stand(storageClass)
  for (const id of ['harbour', 'pier']) await region.standProject({ id })
  await region.standDatabase('harbour', { id: 'tidal-gauge' })
  await region.standDatabase('harbour', { id: 'buoy' })
})
after(() => region?.close())

const head = () => region.journal.head().sequence
const at = (sequence: number) => ({ 'if-ledger-at': String(sequence) })

/** A change that somebody makes, to what it is not yet. */
let count = 3
async function change(where = path): Promise<number> {
  const changed = await region.call('PATCH', where, { body: { nodes: { count: ++count } } })
  assert.equal(changed.status, 202, changed.text)
  return changed.body.sequence
}

function assertBehind({ status, body, text }: Answered, numbers: { known: number; changed: number; head: number }): void {
  assert.equal(status, 409, text)
  assert.equal(body.type, 'https://skerry.dev/problems/ledger-behind')
  assert.deepEqual(body.ledger, numbers)
  for (const number of [numbers.known, numbers.changed, numbers.head]) assert.match(body.detail, new RegExp(`\\b${number}\\b`))
}

test('a cloud that was restored from last night undoes nothing: it is told both numbers, reads what it forgot, and goes on', async () => {
  const lastNight = head()
  const changed = await change()
  const stale = { body: usualDatabase, headers: at(lastNight) }
  assertBehind(await region.call('PUT', path, stale), { known: lastNight, changed, head: changed })
  assertBehind(await region.call('DELETE', path, { headers: at(lastNight) }), { known: lastNight, changed, head: changed })
  assertBehind(await region.call('POST', `${path}/actions/restart`, { body: {}, headers: at(lastNight) }), {
    known: lastNight,
    changed,
    head: changed,
  })
  assert.equal(head(), changed, 'nothing was accepted')

  const forgotten = await region.call('GET', `/v1/operations?since=${lastNight}`)
  const [{ sequence, wanted }] = forgotten.body.items
  assert.deepEqual([sequence, wanted.nodes.count, forgotten.body.ledger.newest], [changed, count, changed])
  const decidedAgain = await region.call('PATCH', path, { body: { deletionProtection: true }, headers: at(forgotten.body.ledger.newest) })
  assert.equal(decidedAgain.status, 202, decidedAgain.text)
  const own = await region.call('PATCH', path, { body: { deletionProtection: false }, headers: at(decidedAgain.body.sequence) })
  assert.equal(own.status, 202, 'the answer to its own request is the next entry that it knows')
})

test('a dry run is refused like the request, and so is a request that would change nothing today', async () => {
  const known = head()
  const changed = await change()
  assertBehind(await region.call('PUT', `${path}?dryRun=true`, { body: usualDatabase, headers: at(known) }), {
    known,
    changed,
    head: changed,
  })
  const present = await region.call('GET', path)
  assert.equal((await region.call('PUT', path, { body: present.body, headers: at(changed) })).status, 200)
  assertBehind(await region.call('PUT', path, { body: present.body, headers: at(known) }), { known, changed, head: changed })
})

test('a repeated request is answered as a repeat: its own entry does not stand against it, nor does what came after', async () => {
  const known = head()
  const request = { body: { nodes: { count: ++count } }, headers: { ...at(known), 'idempotency-key': 'sent-twice' } }
  const first = await region.call('PATCH', path, request)
  assert.equal(first.status, 202, first.text)
  await change()
  const again = await region.call('PATCH', path, request)
  assert.deepEqual([again.status, again.body.id], [202, first.body.id], again.text)
  assert.match(again.body.note, /accepted before/)
})

test('changes of the project count for its databases, and those of other databases and projects do not', async () => {
  const known = head()
  await change(`${databases}/buoy`)
  assert.equal((await region.call('PATCH', '/v1/projects/pier', { body: { displayName: 'Pier' } })).status, 202)
  const accepted = await region.call('PATCH', path, { body: { nodes: { count: ++count } }, headers: at(known) })
  assert.equal(accepted.status, 202, accepted.text)

  const project = await region.call('PATCH', '/v1/projects/harbour', { body: { displayName: 'Harbour' } })
  assert.equal(project.status, 202, project.text)
  const { sequence: changed } = project.body
  const { sequence: before } = accepted.body
  assertBehind(await region.call('PUT', path, { body: usualDatabase, headers: at(before) }), { known: before, changed, head: changed })
})

test('a cancellation is compared with the changes of what the operation is about', async () => {
  const known = await change()
  const newer = await change()
  const id = `op-${String(known).padStart(10, '0')}`
  assertBehind(await region.call('DELETE', `/v1/operations/${id}`, { headers: at(known) }), { known, changed: newer, head: newer })
  assert.equal((await region.call('DELETE', `/v1/operations/${id}`, { headers: at(newer) })).status, 202)
})

test('a region that was restored itself does not take numbers for its own that it has never given', async () => {
  const known = head() + 100
  for (const query of ['', '?dryRun=true']) {
    const refused = await region.call('PUT', `${path}${query}`, { body: usualDatabase, headers: at(known) })
    assert.equal(refused.status, 409, refused.text)
    assert.equal(refused.body.type, 'https://skerry.dev/problems/ledger-ahead')
    assert.deepEqual(refused.body.ledger, { known, head: head() })
  }
})

test('a region that was restored and went on differently knows its own entries by their hash, kept or not', async () => {
  const tell = (sequence: number, hash: string) =>
    region.call('PATCH', '/v1/projects/pier?dryRun=true', {
      body: { displayName: 'Pier' },
      headers: { 'if-ledger-at': `${sequence} ${hash}` },
    })
  const known = head()
  const { hash } = region.journal.head()
  const foreign = `sha256:${'f'.repeat(64)}`
  assert.equal((await tell(known, hash)).status, 200, 'the head')
  await change()
  assert.equal((await tell(known, hash)).status, 200, 'an entry before it')
  for (const sequence of [known, head()]) {
    const refused = await tell(sequence, foreign)
    assert.equal(refused.status, 409, refused.text)
    assert.equal(refused.body.type, 'https://skerry.dev/problems/ledger-ahead')
    assert.deepEqual(refused.body.ledger, { known: sequence, head: head() })
    assert.match(refused.body.detail, /another hash/)
  }
})

test('a malformed number is a fault beside the others, and any number is one where it would protect nothing', async () => {
  for (const given of ['', '-1', '1.0', '0x1', '12, 13', '"12"', '1234567890123456', '12 abc', `12  sha256:${'f'.repeat(64)}`]) {
    const body = { ...usualDatabase, nodes: { ...usualNodes, count: 'two' } }
    const refused = await region.call('PUT', path, { body, headers: { 'if-ledger-at': given } })
    assert.equal(refused.status, 422, refused.text)
    const places = refused.body.faults.map(({ path, name }: { path?: string; name?: string }) => path ?? name).sort()
    assert.deepEqual(places, ['/nodes/count', 'If-Ledger-At'], given)
  }
  const tunnel = await region.call('PATCH', '/v1/tunnel', { body: { expose: { grafana: true } }, headers: at(head()) })
  assert.equal(tunnel.status, 422, tunnel.text)
  assert.match(tunnel.body.faults[0].message, /not an entry of the ledger; use If-Match/)
})

test('an entry that is no longer kept may have been about anything', async () => {
  for (const { metadata, status } of region.journal.all())
    if (!status?.endedAt) await region.end(metadata.name, { phase: 'Succeeded', reason: 'Succeeded', message: 'Ended by the test.' })
  const buoy = await change(`${databases}/buoy`)
  const tryAt = (known: number) =>
    region.call('PATCH', '/v1/projects/pier?dryRun=true', { body: { displayName: 'Pier' }, headers: at(known) })
  const later = await change()
  assert.equal((await tryAt(buoy - 1)).status, 200, 'there was nothing about it since')

  const remove = async (upTo: number) => {
    for (const operation of region.journal.all())
      if (operation.spec.sequence <= upTo) await region.admin.request({ method: 'DELETE', path: pathOfObject(operation) })
    await until('they are gone', async () => (region.journal.all()[0]?.spec.sequence ?? upTo + 1) > upTo)
  }
  await remove(buoy)
  assertBehind(await tryAt(buoy - 1), { known: buoy - 1, changed: buoy, head: later })
  const [next] = region.journal.all()
  const hashed = (hash: string | undefined) =>
    region.call('PATCH', '/v1/projects/pier?dryRun=true', {
      body: { displayName: 'Pier' },
      headers: { 'if-ledger-at': `${buoy} ${hash}` },
    })
  assert.equal((await hashed(next?.spec.previousHash)).status, 200, 'the next entry has the hash of the one that is gone')
  assert.equal((await hashed(next?.spec.hash)).body.type, 'https://skerry.dev/problems/ledger-ahead')
  await remove(later)
  assertBehind(await tryAt(buoy), { known: buoy, changed: later, head: later })
  assert.equal((await tryAt(later)).status, 200)
})
