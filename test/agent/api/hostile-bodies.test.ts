import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { anyText, fc } from '../../shared/property.ts'
import { type QuietRegion, startQuietRegion, storageClasses, usualDatabase } from './region.ts'

let region: QuietRegion

before(async () => {
  region = await startQuietRegion()
  for (const storageClass of storageClasses) await region.stand(storageClass)
  await region.standProject({ id: 'harbour', quota: { cpu: 12, databases: 3 } })
  const aws = { bucket: 'snapshots', region: 'eu-north-1', cron: '1 * * * *', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'old' }
  await region.standDatabase('harbour', { id: 'tidal-gauge', backups: { aws } })
})
after(() => region?.close())

// biome-ignore format: a list
const names = [
  'id', 'version', 'nodes', 'users', 'ssl', 'backups', 'master', 'aws', 'name', 'password', 'count', 'cpu', 'memory', 'disk', 'size',
  'storageClass', 'heapRatio', 'status', 'labels', 'annotations', 'settings', 'exposure', 'type', 'hostname', 'quota', 'user', 'snapshot',
  'tables', 'partitions', 'source', 'allowedCIDRs', 'suspended', 'cron', 'displayName', '__proto__', 'constructor', 'toString',
]
// biome-ignore format: a list
const texts = [
  '5.10.2', '7.0.0', '64Gi', '128Gi', '1e99', '-1', '$(reboot)', '`reboot`', "'; DROP TABLE doc.readings; --", '../../secrets', '0.0.0.0/0',
  '::/0', 'harbourmaster', 'crate-premium', 'tables', '*/15 * * * *', '\u202e', '\u0000', '\ud800', 'ﬀ', '',
]
const leaf = fc.oneof(fc.constantFrom<unknown>(null, true, false, [], {}, ...texts), fc.integer(), fc.double(), anyText())
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(fc.constantFrom(...names), tie('value')), { maxLength: 6 }).map((entries) => Object.fromEntries(entries)),
  ),
}))
/** Something wrong in the midst of what is right gets further than what is wrong throughout. */
const nearlyRight = fc.tuple(fc.constantFrom(...names), value).map(([name, wrong]) => ({ ...usualDatabase, [name]: wrong }))

const database = '/v1/projects/harbour/databases/tidal-gauge'
// biome-ignore format: a list
const paths = [
  '/v1/projects/harbour', '/v1/projects/fresh', database, '/v1/projects/harbour/databases/fresh', '/v1/projects/harbour/databases',
  `${database}/actions/suspend`, `${database}/actions/restart`, `${database}/actions/restore`, `${database}/actions/rotate-password`,
  '/v1/operations', '/v1/operations/op-0000000001', '/v1/region',
]
const query = fc.constantFrom(
  '',
  '?dryRun=true',
  '?dryRun=',
  '?limit=0',
  '?limit=1e9',
  '?cursor=%00',
  '?since=-1',
  '?cascade=maybe',
  '?__proto__=1',
  '?%ff',
)

test('no body, however hostile, is answered with a 5xx, or with anything that the document does not know', {
  timeout: 300_000,
}, async () => {
  const seen = new Map<number, number>()
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...paths),
      query,
      fc.constantFrom('PUT', 'PATCH', 'POST', 'DELETE'),
      fc.oneof(value, nearlyRight),
      async (path, query, method, body) => {
        // What is right by chance must not pile up, so it is tried out only.
        const at = query === '' ? `${path}?dryRun=true` : path + query
        const answer = await region.call(method, at, { body: JSON.stringify(body) ?? 'undefined' })
        seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1)
        assert.ok(answer.status < 500, answer.text)
        if (answer.status === 422 && answer.body.type.endsWith('/invalid-fields')) assert.ok(answer.body.faults.length > 0, answer.text)
      },
    ),
    { numRuns: 5_000 },
  )
  assert.ok((seen.get(422) ?? 0) > 1_000, `the requests did not get as far as the fields: ${JSON.stringify([...seen])}`)
  assert.equal(region.journal.all().length, 0)
})
