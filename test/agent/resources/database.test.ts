import assert from 'node:assert/strict'
import { test } from 'node:test'
import type * as z from 'zod'
import { desiredDatabase } from '../../../agent/resources/cratedb.ts'
import { databaseSpec, secretsNeeded, splitSecrets } from '../../../agent/resources/database.ts'
import { asFault, parseWith } from '../../../shared/faults.ts'
import { anyText, fc } from '../../shared/property.ts'
import { allSecrets, anyStored, everything, nodes, options, request, target } from './samples.ts'

function faultsOf(given: unknown): string[] {
  const parsed = parseWith(databaseSpec, given)
  return parsed.ok ? [] : parsed.faults.map((fault) => asFault(fault)).map(({ path, message }) => `${path} ${message}`)
}

const label = 'must consist of lower-case letters, digits and "-", and begin and end with a letter or digit'
const cronWords =
  'must be five fields separated by one space, each a number, a list "1,2", a range "1-5", a step "0/15" or "*"; "*/15" and names are not accepted by the Crate Operator'
const value = 'must be at most 128 letters, digits and . _ % : , + -, and begin with a letter, a digit or -'
const aws = { bucket: 'b', region: 'r', cron: '0 * * * *' }

/** One bad sample for each rule. */
const refused: { name: string; fields: Record<string, unknown>; faults: string[] }[] = [
  { name: 'a field that nobody knows', fields: { colour: 'red' }, faults: ['/colour is not recognized'] },
  { name: 'an id with capitals', fields: { id: 'Tidal' }, faults: [`/id ${label}`] },
  {
    name: 'an id whose StatefulSet would have too long a name',
    fields: { id: 'a'.repeat(38) },
    faults: ['/id must have at most 37 characters: its StatefulSet is called crate-data-hot-<id>, and Kubernetes allows 52'],
  },
  { name: 'a path for an id', fields: { id: '../x' }, faults: [`/id ${label}`] },
  { name: 'a version that is a range', fields: { version: '5.10' }, faults: ['/version must be a full release such as "5.10.1"'] },
  { name: 'a version that is a word, once', fields: { version: 'latest' }, faults: ['/version must be a full release such as "5.10.1"'] },
  { name: 'a version with a tag', fields: { version: '5.10.1-nightly' }, faults: ['/version must be a full release such as "5.10.1"'] },
  {
    name: 'a version older than the operator runs',
    fields: { version: '4.4.9' },
    faults: ['/version must be at least 4.5.0: the Crate Operator runs nothing older'],
  },
  {
    name: 'no nodes at all',
    fields: { nodes: nodes({ count: 0 }) },
    faults: ['/nodes/count must be at least 1; to stop a database use actions/suspend'],
  },
  { name: 'half a node', fields: { nodes: nodes({ count: 1.5 }) }, faults: ['/nodes/count must be a whole number'] },
  {
    name: 'a heap that leaves nothing',
    fields: { nodes: nodes({ heapRatio: 0.9 }) },
    faults: ['/nodes/heapRatio must be at most 0.75: the rest is for the page cache and for what the JVM keeps outside its heap'],
  },
  {
    name: 'an even number of masters',
    fields: { master: nodes({ count: 4 }) },
    faults: ['/master/count must be odd, so that a majority is possible'],
  },
  { name: 'a single master', fields: { master: nodes({ count: 1 }) }, faults: ['/master/count must be at least 3'] },
  {
    name: 'a user that CrateDB has already',
    fields: { users: [{ name: 'crate' }, { name: 'system' }, { name: 'gc' }] },
    faults: [0, 1, 2].map((index) => `/users/${index}/name is a user that CrateDB or the operator itself creates`),
  },
  {
    name: 'a user name that would end a quoted name in SQL',
    fields: { users: [{ name: 'a" SET (password' }] },
    faults: ['/users/0/name must begin with a lower-case letter or "_", continue with those and digits, and have at most 63 characters'],
  },
  {
    name: 'snapshots in a store with a path, which CrateDB would not read',
    fields: { snapshots: { s3: { bucket: 'b', endpointUrl: 'https://s3.harbour.example/tenant' } } },
    faults: [
      '/snapshots/s3/endpointUrl must be a URL such as "https://s3.harbour.example" without a path: CrateDB reads the host and the port only',
    ],
  },
  {
    name: 'snapshots of which none, or too many to be listed, are kept',
    fields: { snapshots: { s3: { bucket: 'b' }, keep: 0, schedule: '@daily' } },
    faults: [`/snapshots/schedule ${cronWords}`, '/snapshots/keep must be at least 1'],
  },
  { name: 'snapshots nowhere', fields: { snapshots: {} }, faults: ['/snapshots/s3 is required'] },
  { name: 'the same user twice', fields: { users: [{ name: 'a' }, { name: 'a' }] }, faults: ['/users must not name a user twice'] },
  {
    name: 'a short password',
    fields: { users: [{ name: 'a', password: 'short' }] },
    faults: ['/users/0/password must have at least 12 characters'],
  },
  {
    name: 'a password with a line break',
    fields: { users: [{ name: 'a', password: 'twelve chars\n' }] },
    faults: ['/users/0/password must not contain control characters'],
  },
  {
    name: 'a password that is no Unicode',
    fields: { users: [{ name: 'a', password: 'twelve chars\ud800' }] },
    faults: ['/users/0/password must be well-formed Unicode'],
  },
  {
    name: 'a password that is both given and generated',
    fields: { users: [{ name: 'a', password: 'twelve chars', generate: true }] },
    faults: ['/users/0/generate must be left out where a password is given'],
  },
  {
    name: 'privileges that nobody would grant',
    fields: { users: [{ name: 'a', privileges: ['DQL'] }] },
    faults: ['/users/0/privileges/0 must be "ALL": the Crate Operator grants nothing less; revoke privileges with SQL: REVOKE … FROM …'],
  },
  {
    name: 'an address without a prefix',
    fields: { allowedCIDRs: ['192.0.2.1'] },
    faults: ['/allowedCIDRs/0 must be a network such as "10.20.0.0/16" or "2001:db8::/32"; for this one address write "192.0.2.1/32"'],
  },
  {
    name: 'a network with bits beyond its prefix',
    fields: { allowedCIDRs: ['10.20.3.4/16', '2001:db8::1/32'] },
    faults: [
      '/allowedCIDRs/0 has bits set beyond its prefix; write "10.20.0.0/16"',
      '/allowedCIDRs/1 has bits set beyond its prefix; write "2001:db8::/32"',
    ],
  },
  {
    name: 'networks that are none',
    fields: { allowedCIDRs: ['10.0.0.0/33', '010.0.0.0/8', '1.2.3/8', '10.0.0.0/8/8', 'fe80::1%eth0/64', '::/129'] },
    faults: [0, 1, 2, 3, 4, 5].map((index) => `/allowedCIDRs/${index} must be a network such as "10.20.0.0/16" or "2001:db8::/32"`),
  },
  {
    name: 'the network by which Skerry says nobody',
    fields: { allowedCIDRs: ['127.0.0.1/32'] },
    faults: ['/allowedCIDRs/0 is the loopback network, from which nobody can call; leave the list empty to let in nobody'],
  },
  {
    name: 'an IPv4 address in the clothes of IPv6',
    fields: { allowedCIDRs: ['::ffff:192.0.2.1/128'] },
    faults: ['/allowedCIDRs/0 is an IPv4 address inside an IPv6 address; write it as IPv4'],
  },
  {
    name: 'the same network in two spellings',
    fields: { allowedCIDRs: ['2001:db8::/32', '2001:0DB8:0::/32'] },
    faults: ['/allowedCIDRs must not name a network twice'],
  },
  {
    name: 'settings that reach a shell',
    fields: { settings: { 'stats.jobs_log_size': '$(id)', 'bulk.request_timeout': '`id`', 'stats.service.interval': "1' '2" } },
    faults: ['stats.jobs_log_size', 'bulk.request_timeout', 'stats.service.interval'].map((key) => `/settings/${key} ${value}`),
  },
  {
    name: "settings that are the operator's",
    fields: {
      settings: { 'stats.enabled': 'false', 'cluster.routing.allocation.enable': 'none', 'cluster.routing.allocation.exclude._name': 'x' },
    },
    faults: ['stats.enabled', 'cluster.routing.allocation.enable', 'cluster.routing.allocation.exclude._name'].map(
      (key) => `/settings/${key} is set by the Crate Operator and cannot be given here`,
    ),
  },
  {
    name: 'a setting whose name is none',
    fields: { settings: { 'stats.x=1 -Cauth.host_based.enabled': 'false' } },
    faults: ['/settings/stats.x=1 -Cauth.host_based.enabled is not the name of a setting of CrateDB'],
  },
  {
    name: 'labels in prefixes that others own',
    fields: { labels: { 'app.kubernetes.io/name': 'x', 'skerry.dev/project': 'x', 'sub.k8s.io/x': 'y' } },
    faults: [
      '/labels/app.kubernetes.io~1name the prefix app.kubernetes.io is reserved',
      '/labels/skerry.dev~1project the prefix skerry.dev is reserved',
      '/labels/sub.k8s.io~1x the prefix k8s.io is reserved',
    ],
  },
  {
    name: 'an annotation that the operator overwrites',
    fields: { annotations: { 'prometheus.io/port': '1' } },
    faults: ['/annotations/prometheus.io~1port the prefix prometheus.io is reserved'],
  },
  {
    name: 'a label value that is none',
    fields: { labels: { a: 'b c' } },
    faults: ['/labels/a the value must have at most 63 letters, digits, "-", "_" or ".", and begin and end with a letter or digit'],
  },
  {
    name: 'backups to two places',
    fields: { backups: { aws, azureBlob: { accountName: 'a', container: 'c', region: 'r', cron: '0 0 * * *' } } },
    faults: ['/backups must have one of aws and azureBlob'],
  },
  { name: 'backups to nowhere', fields: { backups: {} }, faults: ['/backups must have one of aws and azureBlob'] },
  ...['*/15 * * * *', '@daily', '0 0 * * MON', '0 0 * *', '0  0 * * *', '0 0 * * *\n'].map((cron) => ({
    name: `${JSON.stringify(cron)} as a time of backups`,
    fields: { backups: { aws: { ...aws, cron } } },
    faults: [`/backups/aws/cron ${cronWords}`],
  })),
  {
    name: 'times that no clock shows',
    fields: { backups: { aws: { ...aws, cron: '60 24 0 13 5-1' } } },
    faults: [
      '/backups/aws/cron the minute must be from 0 to 59, not "60"',
      '/backups/aws/cron the hour must be from 0 to 23, not "24"',
      '/backups/aws/cron the day of the month must be from 1 to 31, not "0"',
      '/backups/aws/cron the month must be from 1 to 12, not "13"',
      '/backups/aws/cron the day of the week "5-1" ends before it begins',
    ],
  },
  {
    name: 'a folder that climbs',
    fields: { backups: { aws: { ...aws, basePath: 'a/../b' } } },
    faults: ['/backups/aws/basePath must be a path such as "harbour/tidal-gauge", of letters, digits, "." "_" and "-"'],
  },
  {
    name: 'an endpoint that is no URL',
    fields: { backups: { aws: { ...aws, endpointUrl: 'file:///etc' } } },
    faults: ['/backups/aws/endpointUrl must be a URL such as "https://s3.harbour.example"; an IPv6 address needs a name'],
  },
  {
    name: 'a keystore that is not base64',
    fields: { ssl: { keystore: 'no base64' } },
    faults: ['/ssl/keystore must be base64 on one line'],
  },
  { name: 'an unknown way in', fields: { exposure: { type: 'nodeport' } }, faults: ['/exposure/type must be "loadbalancer" or "traefik"'] },
  {
    name: 'a host name of one word',
    fields: { exposure: { type: 'traefik', hostname: 'gauge' } },
    faults: ['/exposure/hostname must be a full host name in lower case such as "tidal-gauge.example.org"'],
  },
]
for (const { name, fields, faults } of refused) {
  test(`a database with ${name} is refused in words`, () => assert.deepEqual(faultsOf(request(fields)), faults))
}

test('all that is wrong is named at once', () => {
  assert.deepEqual(faultsOf({}), ['/id is required', '/version is required', '/nodes is required'])
})

test('what is left out takes the safe default', () => {
  assert.deepEqual(
    databaseSpec.parse({ id: 'a', version: '4.5.0', nodes: { count: 1, cpu: 1, memory: '1Gi', disk: { size: '1Gi', storageClass: 'x' } } }),
    {
      id: 'a',
      version: '4.5.0',
      nodes: { count: 1, cpu: 1, memory: '1Gi', heapRatio: 0.25, disk: { count: 1, size: '1Gi', storageClass: 'x' } },
      users: [],
      allowedCIDRs: [],
      settings: {},
      labels: {},
      annotations: {},
      exposure: { type: 'loadbalancer' },
      suspended: false,
      deletionProtection: false,
      retainVolumes: true,
    },
  )
})

test('a UUID and the longest id fit', () => {
  assert.deepEqual(faultsOf(request({ id: '0f8fad5b-d9cb-469f-a165-70867728950e' })), [])
  assert.deepEqual(faultsOf(request({ id: 'a'.repeat(37) })), [])
})

test('no value of a secret is left in what may be shown, and all are by their place', () => {
  const { spec, secrets } = splitSecrets(databaseSpec.parse(everything))
  assert.deepEqual(secrets, {
    'users.0.password': 'correct horse battery staple',
    'users.1.password': 'straße über Äcker',
    'backups.aws.accessKeyId': 'AKIAEXAMPLE',
    'backups.aws.secretAccessKey': 'example',
    'snapshots.s3.accessKeyId': 'AKIAOTHER',
    'snapshots.s3.secretAccessKey': 'another',
    'ssl.keystore': '/u3+7QAAAAIAAAAB',
    'ssl.keystorePassword': 'store',
    'ssl.keystoreKeyPassword': 'key',
  })
  const shown = JSON.stringify(spec)
  for (const secret of ['correct horse', 'straße', 'AKIAEXAMPLE', '/u3+7Q', '"store"', '"key"']) assert.ok(!shown.includes(secret), secret)
  assert.deepEqual(secretsNeeded(spec, secrets), { generate: [], missing: [] })
  assert.deepEqual(secretsNeeded(spec), {
    generate: ['users.0.password', 'users.1.password'],
    missing: Object.keys(secrets).slice(2),
  })
})

test('what the API gives back is taken again, and is the same', () => {
  fc.assert(fc.property(anyStored, (spec) => assert.deepEqual(splitSecrets(databaseSpec.parse(spec)), { spec, secrets: {} })))
})

/** Texts that mean something to a shell, to SQL, to Java, to YAML or to JSON. */
const hostile = fc.oneof(
  fc.constantFrom(
    '$(id)',
    '`id`',
    '$IFS',
    "'; DROP USER crate; --",
    '" OR 1=1',
    'a\nb',
    'a\0b',
    '-Cauth.host_based.enabled=false',
    '../../etc',
    '__proto__',
    'constructor',
    '\u202e',
    '{{x}}',
    '%0a',
    'a b',
    'a;b',
    'a|b',
    'a&b',
    'a>b',
    '*',
    '~',
    '\\',
  ),
  anyText(),
)
/** What any text in a launcher argument, in SQL or in a name must be free of. */
const harmful = /[\s$`'"\\;|&<>(){}*?~!#\p{Cc}]/u

test('whatever stands in a request, nothing that a shell or SQL would act on reaches the CrateDB', () => {
  const places: ((text: string) => Record<string, unknown>)[] = [
    (text) => ({ id: text }),
    (text) => ({ version: text }),
    (text) => ({ nodes: nodes({ cpu: text }) }),
    (text) => ({ nodes: nodes({ memory: text }) }),
    (text) => ({ nodes: nodes({ disk: { size: text, storageClass: 'x' } }) }),
    (text) => ({ nodes: nodes({ disk: { size: '1Gi', storageClass: text } }) }),
    (text) => ({ users: [{ name: text }] }),
    (text) => ({ allowedCIDRs: [text] }),
    (text) => ({ settings: { 'stats.jobs_log_size': text } }),
    (text) => ({ settings: { [text]: '1' } }),
    (text) => ({ settings: { [`stats.${text}`]: '1' } }),
    (text) => ({ labels: { [text]: 'x' } }),
    (text) => ({ labels: { a: text } }),
    (text) => ({ annotations: { [text]: 'x' } }),
    (text) => ({ backups: { aws: { ...aws, basePath: text } } }),
    (text) => ({ backups: { aws: { ...aws, cron: text } } }),
    (text) => ({ exposure: { type: 'traefik', hostname: text } }),
  ]
  let taken = 0
  fc.assert(
    fc.property(fc.constantFrom(...places), hostile, (place, text) => {
      const parsed = databaseSpec.safeParse(request(place(text)))
      if (!parsed.success) return
      taken += 1
      const objects = desiredDatabase(target, splitSecrets(parsed.data).spec, allSecrets, options)
      for (const leaf of leavesOf(objects.at(-1)?.spec)) assert.doesNotMatch(leaf.replace(/^([0-9*/,-]+ ){4}[0-9*/,-]+$/, 'cron'), harmful)
    }),
    { numRuns: 2000 },
  )
  assert.ok(taken > 0, 'some of the texts are harmless, so that the assertion was reached')
})

function leavesOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [String(value)]
  return Object.entries(value).flatMap(([key, inner]) => [key, ...leavesOf(inner)])
}

test('any JSON at all is taken or refused, and never an error', () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => void databaseSpec.safeParse(value)))
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.constantFrom(...Object.keys(everything)),
      (value, field) => void databaseSpec.safeParse({ ...everything, [field]: value }),
    ),
  )
})

test('every field has a description and an example for the documentation', () => {
  const lacking: string[] = []
  // biome-ignore lint/suspicious/noExplicitAny: zod's own structure of a schema
  const visit = (schema: any, path: string) => {
    const { type } = schema.def
    if (['optional', 'default', 'nullable'].includes(type)) return visit(schema.def.innerType, path)
    if (type === 'array') return visit(schema.def.element, `${path}[]`)
    if (type !== 'object') return
    for (const [name, field] of Object.entries<z.ZodType>(schema.shape)) {
      const { description, example } = field.meta() ?? {}
      if (!description || example === undefined) lacking.push(`${path}/${name}`)
      visit(field, `${path}/${name}`)
    }
  }
  visit(databaseSpec, '')
  assert.deepEqual(lacking, [])
})
