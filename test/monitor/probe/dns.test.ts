import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '../../../shared/fields.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { listen } from '../checks/servers.ts'
import { answerTo, four, type WireRecord } from '../wire/dns/zone.ts'
import { start } from './asking.ts'
import { startNameServer, startSecureNameServer } from './name-server.ts'

const quay: WireRecord = { type: 'A', data: Buffer.from([127, 0, 0, 1]) }
const pier: WireRecord = { type: 'A', data: Buffer.from([127, 0, 0, 2]) }
const dns = { query_name: 'quay.example', query_type: 'A' as const }

function soa(serial: number): WireRecord {
  return { type: 'SOA', data: Buffer.concat([Buffer.from([0, 0]), four(serial), Buffer.alloc(16)]) }
}

test('a DNS probe counts the records, and reads the serial number of a zone', async (t) => {
  const port = await startNameServer(t, (query) =>
    answerTo(query, { answer: [soa(0x78563412)], authority: [quay, pier], additional: [quay, quay, quay] }),
  )
  const { run } = await start(t, { modules: { zone: { prober: 'dns', dns: { ...dns, query_type: 'SOA' } } } })
  const found = await run({ target: `127.0.0.1:${port}`, module: 'zone' })
  assert.equal(found.value('probe_success'), 1)
  assert.equal(found.value('probe_dns_query_succeeded'), 1)
  assert.equal(found.value('probe_dns_answer_rrs'), 1)
  assert.equal(found.value('probe_dns_authority_rrs'), 2)
  assert.equal(found.value('probe_dns_additional_rrs'), 3)
  assert.equal(found.value('probe_dns_serial'), 0x78563412)
})

test('a DNS probe counts the records that are there, whatever the header promises', async (t) => {
  const port = await startNameServer(t, (query) => {
    const answer = answerTo(query, { answer: [quay] })
    answer.writeUInt16BE(9, 8)
    return answer
  })
  const { run } = await start(t, { modules: { names: { prober: 'dns', dns } } })
  const found = await run({ target: `127.0.0.1:${port}`, module: 'names' })
  assert.equal(found.value('probe_success'), 1)
  assert.equal(found.value('probe_dns_authority_rrs'), 0)
})

test('a DNS probe takes no datagram of somebody else, and not its own query', async (t) => {
  let first = true
  const port = await startNameServer(t, (query) => {
    const answer = answerTo(query, {}, { code: 3 })
    answer[0] = (answer[0] as number) ^ 1
    const echo = first
    first = false
    return echo ? query : answer
  })
  const { run } = await start(t, { modules: { names: { prober: 'dns', timeout: '150ms', dns } } })
  for (const _ of ['its own query', 'another id']) {
    const found = await run({ target: `127.0.0.1:${port}`, module: 'names' })
    assert.equal(found.value('probe_dns_query_succeeded'), 0)
  }
})

test('a DNS probe fails on another response code than it expects', async (t) => {
  const port = await startNameServer(t, (query) => answerTo(query, {}, { code: 3 }))
  const { run } = await start(t, {
    modules: { there: { prober: 'dns', dns }, gone: { prober: 'dns', dns: { ...dns, valid_rcodes: ['NXDOMAIN'] } } },
  })
  const target = `127.0.0.1:${port}`
  assert.equal((await run({ target, module: 'there' })).value('probe_success'), 0)
  assert.equal((await run({ target, module: 'gone' })).value('probe_success'), 1)
})

const rules = [
  { name: 'a record of the answer matches', rule: { validate_answer_rrs: { fail_if_matches_regexp: ['127\\.0\\.0\\.2$'] } }, success: 0 },
  { name: 'no record of the answer matches', rule: { validate_answer_rrs: { fail_if_matches_regexp: ['10\\.'] } }, success: 1 },
  { name: 'one record does not match', rule: { validate_answer_rrs: { fail_if_not_matches_regexp: ['127\\.0\\.0\\.1$'] } }, success: 0 },
  {
    name: 'all records match',
    rule: { validate_answer_rrs: { fail_if_not_matches_regexp: ['^quay\\.example\\.\\t300\\tIN\\tA\\t127'] } },
    success: 1,
  },
  { name: 'there is no record to match', rule: { validate_authority_rrs: { fail_if_not_matches_regexp: ['.'] } }, success: 0 },
  { name: 'one record matches', rule: { validate_answer_rrs: { fail_if_none_matches_regexp: ['127\\.0\\.0\\.2$', '^x'] } }, success: 1 },
  { name: 'none matches', rule: { validate_answer_rrs: { fail_if_none_matches_regexp: ['\\tMX\\t'] } }, success: 0 },
  { name: 'there is none', rule: { validate_additional_rrs: { fail_if_none_matches_regexp: ['.'] } }, success: 0 },
  { name: 'not all records match', rule: { validate_answer_rrs: { fail_if_all_match_regexp: ['127\\.0\\.0\\.1$'] } }, success: 0 },
  { name: 'every record matches', rule: { validate_answer_rrs: { fail_if_all_match_regexp: ['[[:digit:]]$'] } }, success: 1 },
]
for (const { name, rule, success } of rules)
  test(`a DNS probe with ${Object.keys(Object.values(rule)[0] ?? {})[0]} ${success ? 'succeeds' : 'fails'} if ${name}`, async (t) => {
    const port = await startNameServer(t, (query) => answerTo(query, { answer: [quay, pier] }))
    const { run } = await start(t, { modules: { ruled: { prober: 'dns', dns: { ...dns, ...rule } } } })
    assert.equal((await run({ target: `127.0.0.1:${port}`, module: 'ruled' })).value('probe_success'), success)
  })

test('a DNS probe over TCP takes an answer in pieces, and none that is too short', async (t) => {
  const port = await listen(t, (socket) =>
    socket.once('data', (query) => {
      const answer = Buffer.from(query)
      answer[4] = 0x81
      socket.write(answer.subarray(0, 5))
      setImmediate(() => socket.write(answer.subarray(5)))
    }),
  )
  const broken = await listen(t, (socket) => socket.once('data', () => socket.end(Buffer.from([0, 2, 1, 2]))))
  const { run } = await start(t)
  assert.equal((await run({ target: `127.0.0.1:${port}`, module: 'dns_tcp' })).value('probe_success'), 1)
  assert.equal((await run({ target: `127.0.0.1:${broken}`, module: 'dns_tcp' })).value('probe_success'), 0)
})

test('a DNS probe over TLS asks only a server that it trusts, and asks nothing over UDP', async (t) => {
  const signed = await createCertificate()
  const port = await startSecureNameServer(t, (query) => answerTo(query, { answer: [quay] }), signed)
  const secure = { ...dns, transport_protocol: 'tcp' as const, dns_over_tls: true }
  const ca_file = new Secret({ value: signed.ca })
  const { run } = await start(t, {
    modules: {
      trusting: { prober: 'dns', dns: { ...secure, tls_config: { ca_file } } },
      strict: { prober: 'dns', dns: secure },
    },
  })
  const target = `127.0.0.1:${port}`
  assert.equal((await run({ target, module: 'trusting' })).value('probe_success'), 1)
  assert.equal((await run({ target, module: 'strict' })).value('probe_success'), 0)
})
