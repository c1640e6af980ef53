import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { dns } from '../../../monitor/checks/dns.ts'
import { checkKindNamed, checkKinds } from '../../../monitor/checks/index.ts'
import type { CheckKind, SparkplugNodeState } from '../../../monitor/checks/kind.ts'
import { sparkplugNode } from '../../../monitor/checks/sparkplug-node.ts'
import { resultOfError } from '../../../monitor/prober/run.ts'
import { core, defOf, layers } from '../../../shared/schema.ts'
import { checksPage } from './page.ts'
import { assertResult, measured, run } from './run.ts'

const kinds = Object.entries<CheckKind>(checkKinds)

for (const [name, kind] of kinds) {
  test(`${name}: its example is valid, and has a target without secrets`, () => {
    const options = kind.options.parse(kind.example)
    assert.match(kind.target(options), /^\S[^\n]{0,300}$/)
  })

  test(`${name}: unknown options are refused, and each known one is described`, () => {
    assert.equal(kind.options.safeParse({ ...(kind.example as object), colour: 'red' }).success, false)
    for (const [option, schema] of Object.entries(defOf(core(kind.options)).shape ?? {}))
      assert.ok(
        layers(schema).some((layer) => (layer as { description?: string }).description),
        `${option} has no description`,
      )
  })

  test(`${name}: what it measures is named by Prometheus' conventions`, () => {
    for (const [metric, { type, labels = [], help }] of Object.entries(kind.measures)) {
      assert.match(metric, /^skerry_[a-z0-9]+(_[a-z0-9]+)+$/)
      assert.equal(metric.endsWith('_total'), type === 'counter', `${metric} is a ${type}`)
      assert.doesNotMatch(metric, /(_ms|_milliseconds|_percent|_kib|_mib)$/, `${metric} is not in base units`)
      assert.match(help, /^[A-Z0-9].*\.$/)
      for (const label of labels) {
        assert.match(label, /^[a-z][a-z_]*$/)
        assert.ok(
          !['check', 'kind', 'target', 'state', 'reason'].includes(label) || label === 'state',
          `${metric} has the label ${label} of every series`,
        )
      }
    }
  })
}

test('no two kinds measure under one name', () => {
  const names = kinds.flatMap(([, kind]) => Object.keys(kind.measures))
  assert.equal(new Set(names).size, names.length)
})

test('a kind that does not exist is not found, however it is called', () => {
  assert.equal(checkKindNamed('toString'), undefined)
  assert.equal(checkKindNamed('http'), checkKinds.http)
})

test('the table loads no client library', () => {
  const program = `
    import { registerHooks } from 'node:module'
    const loaded = []
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
    await import(${JSON.stringify(new URL('../../../monitor/checks/index.ts', import.meta.url).href)})
    console.log(JSON.stringify(loaded))`
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
  const packages = (JSON.parse(output) as string[]).flatMap((url) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? [])
  assert.deepEqual([...new Set(packages)], ['zod'])
})

test('docs/checks.md says what the table says', () => {
  const page = new URL(`../../../${checksPage.path}`, import.meta.url)
  assert.equal(readFileSync(page, 'utf8'), checksPage.text(), 'rewrite it with npm run render')
})

for (const { name, error, reason, detail } of [
  { name: 'a time-out', error: new DOMException('x', 'TimeoutError'), reason: 'timeout', detail: /^No answer in time\. / },
  {
    name: 'an unknown host',
    error: Object.assign(new Error('getaddrinfo ENOTFOUND quay'), { code: 'ENOTFOUND' }),
    reason: 'dns',
    detail: /quay.*name servers/,
  },
  {
    name: 'several addresses that refuse',
    error: new AggregateError([
      Object.assign(new Error('a'), { code: 'ECONNREFUSED' }),
      Object.assign(new Error('b'), { code: 'ECONNREFUSED' }),
    ]),
    reason: 'connection_refused',
    detail: /^a, b\. /,
  },
  {
    name: 'a certificate that has expired',
    error: Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' }),
    reason: 'tls',
    detail: /dates/,
  },
  { name: 'something that is no error', error: 'storm', reason: 'error', detail: /^storm\. / },
  { name: 'a text without an end', error: new Error('x\n'.repeat(10_000)), reason: 'error', detail: /^[^\n]{400}$/ },
] as const)
  test(`${name} counts as down for reason ${reason}`, () => {
    const result = resultOfError(error)
    assertResult(result, 'down', reason, detail)
  })

const node: SparkplugNodeState = { state: 'online', lastSeen: 990_000, rebirthRequests: 2 }
for (const { name, found, state, reason, detail } of [
  { name: 'is up while it is online', found: node, state: 'up', detail: /10 s ago/ },
  {
    name: 'is degraded while it is silent',
    found: { ...node, state: 'silent' },
    state: 'degraded',
    reason: 'timeout',
    detail: /rebirth was requested/,
  },
  {
    name: 'is down when it stays silent',
    found: { ...node, state: 'offline' },
    state: 'down',
    reason: 'timeout',
    detail: /did not answer/,
  },
  {
    name: 'is down after its death',
    found: { ...node, state: 'dead' },
    state: 'down',
    reason: 'connection_lost',
    detail: /death certificate/,
  },
  {
    name: 'is degraded while it was not seen yet',
    found: { state: 'unseen' },
    state: 'degraded',
    reason: 'missing',
    detail: /No message has arrived yet/,
  },
  { name: 'is down when nobody watches it', found: undefined, state: 'down', reason: 'missing', detail: /Create a SparkplugNode/ },
  {
    name: 'is unknown while the monitor itself hears of no node',
    found: 'unheard',
    state: 'unknown',
    reason: 'monitor_disconnected',
    detail: /The monitor itself has no connection/,
  },
] as const)
  test(`sparkplug-node check ${name}`, async () => {
    const result = await run(sparkplugNode, { node: 'harbour/crane-7' }, { now: () => 1_000_000, sparkplugNode: () => found })
    assertResult(result, state, reason, detail)
    if (typeof found === 'object' && found.state !== 'unseen')
      assert.equal(measured(result, 'skerry_sparkplug_node_state', { state: found.state }), 1)
  })

/** A domain name in a DNS message, without compression. */
const wire = (name: string) =>
  Buffer.from(`${[...name.split('.').map((label) => String.fromCharCode(label.length) + label), '\0'].join('')}`)

/** The records of `quay.test`: the data of each, by the number of the type. */
const zone: Record<number, Buffer[]> = {
  1: [Buffer.from([192, 0, 2, 10]), Buffer.from([192, 0, 2, 11])], // A
  6: [Buffer.concat([wire('ns.quay.test'), wire('harbour.quay.test'), Buffer.from([1, 2, 3, 4, 5].flatMap((each) => [0, 0, 0, each]))])], // SOA
  15: [Buffer.concat([Buffer.from([0, 10]), wire('mail.quay.test')])], // MX
  33: [Buffer.concat([Buffer.from([0, 1, 0, 2, 0, 80]), wire('www.quay.test')])], // SRV
  257: [
    Buffer.concat([Buffer.from([128, 5]), Buffer.from('issueca.test')]),
    Buffer.concat([Buffer.from([0, 5]), Buffer.from('iodefmailto:a@b.test')]),
  ], // CAA
}

/** Starts a name server that knows `quay.test`, ignores questions about `mute.test` and denies other names (RFC 1035, section 4). */
async function nameServer(t: { after(act: () => void): void }): Promise<number> {
  const socket = createSocket('udp4')
  socket.on('message', (query, peer) => {
    const name = query.subarray(12, query.indexOf(0, 12) + 1)
    if (name.includes('mute')) return
    const known = name.includes('quay')
    const question = Buffer.concat([name, query.subarray(12 + name.length, 16 + name.length)])
    const type = query.readUInt16BE(12 + name.length)
    const records = (zone[type] ?? []).map((data) =>
      Buffer.concat([Buffer.from([0xc0, 12, type >> 8, type & 255, 0, 1, 0, 0, 0, 60, 0, data.length]), data]),
    )
    const head = Buffer.from([
      query[0] as number,
      query[1] as number,
      0x81,
      known ? 0x80 : 0x83,
      0,
      1,
      0,
      known ? records.length : 0,
      0,
      0,
      0,
      0,
    ])
    socket.send(Buffer.concat([head, question, ...(known ? records : [])]), peer.port, peer.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.after(() => void socket.close())
  return socket.address().port
}

test('dns check', async (t) => {
  const port = await nameServer(t)
  const ask = { server: '127.0.0.1', port }
  await t.test('is up when the name resolves to what is expected', async () => {
    const result = await run(dns, { ...ask, query: 'quay.test', expect: ['192.0.2.10'] })
    assertResult(result, 'up', undefined, /2 answers: 192\.0\.2\.10, 192\.0\.2\.11/)
    assert.equal(measured(result, 'skerry_dns_answers'), 2)
  })
  for (const [type, expect] of Object.entries({
    SOA: ['ns.quay.test harbour.quay.test 1 2 3 4 5'],
    MX: ['10 mail.quay.test'],
    SRV: ['1 2 80 www.quay.test'],
    CAA: ['128 issue ca.test', '0 iodef mailto:a@b.test'],
  } as const))
    await t.test(`expects the fields of ${type} in the order of a zone file`, async () => {
      assertResult(await run(dns, { ...ask, query: 'quay.test', type: type as 'MX', expect: [...expect] }), 'up')
    })
  await t.test('is down when an expected answer is missing', async () => {
    assertResult(
      await run(dns, { ...ask, query: 'quay.test', expect: ['192.0.2.99'] }),
      'down',
      'unexpected_answer',
      /192\.0\.2\.99 is not among/,
    )
  })
  await t.test('is down when the name does not exist', async () => {
    assertResult(await run(dns, { ...ask, query: 'reef.test' }), 'down', 'dns', /ENOTFOUND/)
  })
  await t.test('is down when the name server is silent, as soon as the time is up', async () => {
    assertResult(await run(dns, { ...ask, query: 'mute.test' }, { timeoutMs: 200 }), 'down', 'timeout')
  })
})
