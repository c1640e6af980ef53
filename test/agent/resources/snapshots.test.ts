import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSamePlace, type StoredSnapshots, storeAddress, withBasePath } from '../../../agent/resources/snapshots.ts'

const at = { region: 'eu-north', project: 'harbour', database: 'tidal-gauge' }
const own = (basePath?: string): StoredSnapshots => ({ s3: { bucket: 'b', ...(basePath !== undefined && { basePath }) }, keep: 7 })

const folders: { name: string; wanted: string | undefined; present: string | undefined; is: string }[] = [
  { name: 'is that of region, project and database', wanted: undefined, present: undefined, is: 'eu-north/harbour/tidal-gauge' },
  {
    name: 'stays as it is in a region with another id',
    wanted: undefined,
    present: 'old/harbour/tidal-gauge',
    is: 'old/harbour/tidal-gauge',
  },
  { name: 'is that of the request', wanted: 'x/y', present: 'old/harbour/tidal-gauge', is: 'x/y' },
]
for (const { name, wanted, present, is } of folders) {
  test(`the folder ${name}`, () => {
    const known = present === undefined ? undefined : own(present)
    assert.equal(withBasePath(own(wanted), known, at).s3.basePath, is)
  })
}

const addresses: { name: string; s3: Partial<StoredSnapshots['s3']>; version: string; is: object }[] = [
  { name: 'Amazon, wherever the bucket is', s3: {}, version: '5.10.1', is: { protocol: 'https', endpoint: undefined, pathStyle: false } },
  {
    name: "Amazon's region by its endpoint, which every release reads",
    s3: { region: 'eu-north-1' },
    version: '4.8.4',
    is: { protocol: 'https', endpoint: 's3.eu-north-1.amazonaws.com', pathStyle: false },
  },
  {
    name: 'a region in China',
    s3: { region: 'cn-north-1' },
    version: '6.4.0',
    is: { endpoint: 's3.cn-north-1.amazonaws.com.cn', region: 'cn-north-1' },
  },
  {
    name: 'another store, with the bucket in the path',
    s3: { endpointUrl: 'http://192.0.2.7:9000', region: 'local' },
    version: '6.3.0',
    is: { protocol: 'http', endpoint: '192.0.2.7:9000', region: 'local', pathStyle: true },
  },
  {
    name: 'another store without a region where none can be told',
    s3: { endpointUrl: 'https://s3.harbour.example/', region: 'local', pathStyle: false },
    version: '6.2.11',
    is: { protocol: 'https', endpoint: 's3.harbour.example', region: undefined, pathStyle: false, hasPathStyle: true },
  },
  {
    name: 'another store without the setting where there is none',
    s3: { endpointUrl: 'https://s3.harbour.example' },
    version: '5.6.5',
    is: { endpoint: 's3.harbour.example', pathStyle: false, hasPathStyle: false },
  },
]
for (const { name, s3, version, is } of addresses) {
  test(`CrateDB addresses ${name}`, () => {
    const address = storeAddress({ bucket: 'b', ...s3 }, version)
    assert.deepEqual(Object.fromEntries(Object.keys(is).map((key) => [key, address[key as keyof typeof address]])), is)
  })
}

const places: { one: Partial<StoredSnapshots['s3']>; other: Partial<StoredSnapshots['s3']>; same: boolean }[] = [
  { one: { endpointUrl: 'https://s3.harbour.example' }, other: { endpointUrl: 'https://S3.Harbour.example/' }, same: true },
  { one: { endpointUrl: 'https://s3.harbour.example' }, other: { endpointUrl: 'https://s3.harbour.example:443' }, same: true },
  { one: { endpointUrl: 'https://s3.harbour.example' }, other: { endpointUrl: 'https://s3.harbour.example.' }, same: true },
  { one: { endpointUrl: 'https://s3.harbour.example' }, other: { endpointUrl: 'http://s3.harbour.example' }, same: true },
  { one: { endpointUrl: 'https://s3.harbour.example' }, other: { endpointUrl: 'https://b.s3.harbour.example' }, same: true },
  { one: { endpointUrl: 'https://s3.harbour.example' }, other: { endpointUrl: 'https://s3.harbour.example:9000' }, same: false },
  { one: { endpointUrl: 'https://s3.harbour.example' }, other: { endpointUrl: 'https://s4.harbour.example' }, same: false },
  { one: {}, other: { endpointUrl: 'https://s3.eu-north-1.amazonaws.com' }, same: true },
  {
    one: { endpointUrl: 'https://s3.amazonaws.com' },
    other: { endpointUrl: 'https://s3-eu-north-1.amazonaws.com', region: 'x' },
    same: true,
  },
  { one: {}, other: { endpointUrl: 'https://s3.eu-north-1.amazonaws.com.example' }, same: false },
  { one: {}, other: { bucket: 'c' }, same: false },
  { one: {}, other: { basePath: 'x/z' }, same: false },
]
for (const { one, other, same } of places) {
  test(`${JSON.stringify(one)} and ${JSON.stringify(other)} are ${same ? 'one place' : 'two places'}`, () => {
    const [first, second] = [one, other].map((each) => ({ s3: { bucket: 'b', basePath: 'x/y', ...each }, keep: 7 })) as [
      StoredSnapshots,
      StoredSnapshots,
    ]
    assert.equal(isSamePlace(first, second), same)
    assert.equal(isSamePlace(second, first), same)
  })
}
