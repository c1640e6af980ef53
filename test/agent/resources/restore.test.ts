import assert from 'node:assert/strict'
import { test } from 'node:test'
import { desiredCrateDB } from '../../../agent/resources/cratedb.ts'
import { operatorRelease } from '../../../agent/resources/release.ts'
import { endpointAssumption, restoreBody, restoreRefusals, restoreStep, splitRestoreSecrets } from '../../../agent/resources/restore.ts'
import { asFault, parseWith } from '../../../shared/faults.ts'
import { anyText, fc } from '../../shared/property.ts'
import { options, stored, target } from './samples.ts'

const aws = { bucket: 'harbour-snapshots', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'example' }
const source = { basePath: 'other/gauge', aws }
const backups = { aws: { bucket: 'b', region: 'r', cron: '0 * * * *' } }

function faultsOf(schema: Parameters<typeof parseWith>[0], given: unknown): string[] {
  const parsed = parseWith(schema, given)
  return parsed.ok ? [] : parsed.faults.map((fault) => asFault(fault)).map(({ path, message }) => `${path} ${message}`)
}

const refused: { name: string; body: unknown; faults: string[] }[] = [
  { name: 'no snapshot', body: {}, faults: ['/snapshot is required'] },
  {
    name: 'a snapshot whose name would end a text in SQL',
    body: { snapshot: "x' OR '1'='1" },
    faults: ['/snapshot must be the name of a snapshot: letters, digits and _ . : -'],
  },
  { name: 'tables without any', body: { snapshot: 'x', type: 'tables' }, faults: ['/tables must name at least one for type tables'] },
  {
    name: 'tables where all is restored',
    body: { snapshot: 'x', tables: ['doc.a'] },
    faults: ['/tables must be left out for type all'],
  },
  {
    name: 'a table without its schema, and one that is SQL',
    body: { snapshot: 'x', type: 'tables', tables: ['readings', 'doc.a; DROP TABLE doc.b'] },
    faults: [0, 1].map((index) => `/tables/${index} must be schema and table in lower case, such as "doc.readings"`),
  },
  {
    name: 'a partition that is SQL',
    body: { snapshot: 'x', type: 'partitions', partitions: [{ table: 'doc.a', columns: [{ name: 'a=1)--', value: "' OR 1" }] }] },
    faults: [
      '/partitions/0/columns/0/name must be a column in lower case, of letters, digits and "_"',
      '/partitions/0/columns/0/value must be at most 255 letters, digits, spaces and _ . : + -, and begin with a letter, a digit or _',
    ],
  },
  {
    name: 'a source of no kind',
    body: { snapshot: 'x', source: { basePath: 'a' } },
    faults: ['/source must have one of aws and azureBlob'],
  },
  {
    name: 'a source without keys',
    body: { snapshot: 'x', source: { basePath: 'a', aws: { bucket: 'b' } } },
    faults: ['/source/aws/accessKeyId is required', '/source/aws/secretAccessKey is required'],
  },
]
for (const { name, body, faults } of refused) {
  test(`a restore with ${name} is refused in words`, () => assert.deepEqual(faultsOf(restoreBody, body), faults))
}

const impossible: { name: string; fields: Record<string, unknown>; body: Record<string, unknown>; says: string | undefined }[] = [
  { name: 'into a database with backups', fields: { backups }, body: {}, says: undefined },
  {
    name: 'into one that is suspended',
    fields: { backups, suspended: true },
    body: { source },
    says: 'the database is suspended; use actions/resume first',
  },
  {
    name: 'from its own backups on Azure',
    fields: { backups: { azureBlob: { accountName: 'a', container: 'c', region: 'r', cron: '0 0 * * *' } } },
    body: {},
    says: 'is required for a database with backups on Azure',
  },
]
for (const { name, fields, body, says } of impossible) {
  test(`a restore ${name} is ${says === undefined ? 'possible' : 'refused'}`, () => {
    const { restore } = splitRestoreSecrets(restoreBody.parse({ snapshot: 'x', ...body }))
    assert.equal(restoreRefusals(stored(fields), restore, { operator: { version: '2.64.0', image: undefined } })[0]?.message, says)
  })
}

const elsewhere = { backups: { aws: { ...backups.aws, endpointUrl: 'https://s3.harbour.example' } } }
const copy = "copy the snapshot to Amazon's S3 and name it"
const since = "and restores only from Amazon's own S3; restoring from another store needs 2.64.0 or later: upgrade the operator and its CRD"
const lacks =
  "but its CRD has no field restoreSnapshot.endpointUrl, so the operator would look for the snapshot on Amazon's own S3; install the CRD of 2.64.0 or later (chart crate-operator-crds)"
type Store = { name: string; image: string; stated?: string; body?: object; keepsEndpoint?: boolean; says: string | undefined }
const stores: Store[] = [
  {
    name: 'its own, with 2.63.0',
    image: 'crate/crate-operator:2.63.0',
    says: `the Crate Operator here is 2.63.0, ${since}, or ${copy} under source without an endpointUrl`,
  },
  {
    name: 'one that the request names, with 2.63.0',
    image: 'mirror.example:5000/crate/crate-operator:2.63.0@sha256:0123',
    body: { source: { ...source, aws: { ...aws, endpointUrl: 'https://s3.harbour.example' } } },
    says: `the Crate Operator here is 2.63.0, ${since}, or ${copy} without an endpointUrl`,
  },
  { name: 'its own, with 2.64.1', image: 'crate/crate-operator:2.64.1', keepsEndpoint: true, says: undefined },
  { name: 'its own, with 3.0.0', image: 'crate/crate-operator:v3.0.0', says: undefined },
  {
    name: 'its own, with 2.64.1 and an older CRD',
    image: 'crate/crate-operator:2.64.1',
    keepsEndpoint: false,
    says: `the Crate Operator here is 2.64.1, ${lacks}, or ${copy} under source without an endpointUrl`,
  },
  {
    name: 'its own, with a digest and an older CRD',
    image: 'crate/crate-operator@sha256:0123',
    keepsEndpoint: false,
    says: `the Crate Operator here is of an unknown release (its image is crate/crate-operator@sha256:0123), ${lacks}, or ${copy} under source without an endpointUrl`,
  },
  { name: 'its own, with a digest and the CRD of 2.64.0', image: 'crate/crate-operator@sha256:0123', keepsEndpoint: true, says: undefined },
  { name: 'its own, with a digest and the release stated', image: 'crate/crate-operator@sha256:0123', stated: '2.64.0', says: undefined },
  {
    name: 'its own, with a stated release that is too old',
    image: 'crate/crate-operator:latest',
    stated: '2.63.0',
    keepsEndpoint: true,
    says: `the Crate Operator here is 2.63.0, ${since}, or ${copy} under source without an endpointUrl`,
  },
]
for (const { name, image, stated: version, body = {}, keepsEndpoint, says } of stores) {
  test(`a restore from a store that is not Amazon's, ${name}, is ${says === undefined ? 'possible' : 'refused'}`, () => {
    const { restore } = splitRestoreSecrets(restoreBody.parse({ snapshot: 'x', ...body }))
    const [fault] = restoreRefusals(stored(elsewhere), restore, { operator: operatorRelease(image, version), keepsEndpoint })
    assert.equal(fault?.message, says)
    if (says !== undefined) assert.equal(fault?.path, 'source' in body ? '/source/aws/endpointUrl' : '/source')
  })
}

for (const image of ['crate/crate-operator:latest', 'crate/crate-operator:2.64', 'localhost:5000/crate-operator', undefined]) {
  test(`the image ${image} does not tell the operator's release, and a plan says what is assumed`, () => {
    const { restore } = splitRestoreSecrets(restoreBody.parse({ snapshot: 'x' }))
    const facts = { operator: operatorRelease(image, undefined), keepsEndpoint: true }
    assert.equal(facts.operator.version, undefined)
    assert.deepEqual(restoreRefusals(stored(elsewhere), restore, facts), [])
    assert.match(endpointAssumption(stored(elsewhere), restore, facts).join(), /assumes 2\.64\.0 or later.*crateOperator\.version/)
    assert.deepEqual(endpointAssumption(stored({ backups }), restore, facts), [])
  })
}

test('a restore writes a Secret that the operator deletes afterwards, and the CrateDB with all else as it is', () => {
  const current = desiredCrateDB(target, stored({ backups }), options)
  current.spec.cluster.restoreSnapshot = { snapshot: '', basePath: { secretKeyRef: { name: 'old', key: 'old' } } }
  const { restore, secrets } = splitRestoreSecrets(
    restoreBody.parse({
      snapshot: '20260131',
      type: 'partitions',
      partitions: [
        {
          table: 'doc.a',
          columns: [
            { name: 'month', value: 1 },
            { name: 'place', value: 'Eider' },
          ],
        },
      ],
      source,
    }),
  )
  assert.ok(!JSON.stringify(restore).includes('AKIAEXAMPLE'))
  const { name, objects } = restoreStep(target, current, restore, secrets)
  assert.equal(name, 'restore')
  const [secret, cratedb] = objects
  assert.equal(secret?.metadata.name, 'restore-from-backup-tidal-gauge')
  const ref = (key: string) => ({ secretKeyRef: { name: 'restore-from-backup-tidal-gauge', key } })
  const { restoreSnapshot, ...cluster } = cratedb?.spec.cluster ?? {}
  assert.deepEqual(restoreSnapshot, {
    snapshot: '20260131',
    type: 'partitions',
    partitions: [
      {
        table_ident: 'doc.a',
        columns: [
          { name: 'month', value: '1' },
          { name: 'place', value: "'Eider'" },
        ],
      },
    ],
    backupProvider: 'aws',
    basePath: ref('base-path'),
    bucket: ref('bucket'),
    accessKeyId: ref('access-key-id'),
    secretAccessKey: ref('secret-access-key'),
  })
  const { restoreSnapshot: _, ...before } = current.spec.cluster
  assert.deepEqual({ ...cratedb?.spec, cluster }, { ...current.spec, cluster: before })
  for (const reference of ['base-path', 'bucket', 'access-key-id', 'secret-access-key']) assert.ok(secret?.data[reference], reference)
})

test('a restore from own backups reads no address that has gone from their Secret', () => {
  const current = desiredCrateDB(target, stored(elsewhere), options)
  const annotations = desiredCrateDB(target, stored({ backups }), options).metadata.annotations ?? {}
  const moved = { ...current, metadata: { ...current.metadata, annotations } }
  const { restore, secrets } = splitRestoreSecrets(restoreBody.parse({ snapshot: 'x' }))
  const addressIn = (object: typeof current) =>
    restoreStep(target, object, restore, secrets).objects.at(-1)?.spec.cluster.restoreSnapshot.endpointUrl
  assert.deepEqual([addressIn(current), addressIn(moved)], [{ secretKeyRef: { name: 'backup-tidal-gauge', key: 'endpoint' } }, undefined])
})

test("a restore from the database's own backups uses their keys", () => {
  const current = desiredCrateDB(target, stored({ backups }), options)
  const { restore } = splitRestoreSecrets(restoreBody.parse({ snapshot: 'x' }))
  const [secret, cratedb] = restoreStep(target, current, restore, {}).objects
  assert.deepEqual(secret?.data, { 'base-path': Buffer.from('tidal-gauge').toString('base64') })
  assert.deepEqual(cratedb?.spec.cluster.restoreSnapshot.accessKeyId, {
    secretKeyRef: { name: 'backup-tidal-gauge', key: 'access-key-id' },
  })
})

test('whatever a restore names, no text leaves its place in SQL', () => {
  fc.assert(
    fc.property(fc.oneof(anyText(), fc.constantFrom("a'b", 'a"b', 'a;b', 'a--', 'a b', '1)', 'doc.a')), (text) => {
      const parsed = restoreBody.safeParse({
        snapshot: text,
        type: 'partitions',
        partitions: [{ table: 'doc.a', columns: [{ name: 'a', value: text }] }],
      })
      if (parsed.success) assert.match(text, /^[A-Za-z0-9_.:-]+$/)
      const table = restoreBody.safeParse({ snapshot: 'x', type: 'tables', tables: [text] })
      if (table.success) assert.match(text, /^[a-z0-9_]+\.[a-z0-9_]+$/)
    }),
    { numRuns: 1000 },
  )
})
