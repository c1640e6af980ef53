import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { answerOf } from '../../../monitor/wire/dns/message.ts'
import { Secret } from '../../../shared/fields.ts'
import { startBlackbox } from '../../peers/blackbox.ts'
import { createCertificate, writeCertificate } from '../../peers/certificates.ts'
import { listen } from '../checks/servers.ts'
import { startEndpoint } from '../metrics/endpoint-in-hand.ts'
import { type Page, readPage } from '../metrics/reading.ts'
import { answerTo, questionOf, recordText, type WireRecord, zone } from '../wire/dns/zone.ts'
import { type Act, startDialogue } from './dialogue-server.ts'
import { startNameServer, startSecureNameServer } from './name-server.ts'

type Modules = Record<string, Record<string, unknown>>

/** Both with the same modules, and a question that goes to one after the other. @param ca replaces the path of a CA's file for ours */
async function startBoth(t: TestContext, modules: Modules, ca = '') {
  const blackbox = await startBlackbox(t, modules)
  const allow = [{ hosts: ['localhost', '*.invalid'], addresses: ['127.0.0.0/8', '::1'], ports: ['1-65535', 'icmp'] }]
  const { url } = await startEndpoint(t, { probe: { modules: loaded(modules, ca) as never, allow } })
  const read = async (base: string, module: string, target: string): Promise<Page> => {
    const response = await fetch(`${base}/probe?${new URLSearchParams({ module, target })}`, {
      headers: { 'X-Prometheus-Scrape-Timeout-Seconds': '5' },
    })
    const text = await response.text()
    assert.equal(response.status, 200, text)
    return readPage(text)
  }
  return {
    /** Every series of both, without the values of durations, which are never the same. */
    async ask(module: string, target: string): Promise<{ theirs: string[]; ours: string[]; success: number | undefined }> {
      const theirs = await read(blackbox.url, module, target)
      const ours = await read(url, module, target)
      return { theirs: seriesOf(theirs), ours: seriesOf(ours), success: theirs.value('probe_success') }
    },
  }
}

/** The modules after their files were read, as the program does when it starts. */
function loaded(modules: Modules, ca: string): Modules {
  const withSecrets = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(withSecrets)
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(
            Object.entries(value).map(([name, each]) => [name, name === 'ca_file' ? new Secret({ value: ca }) : withSecrets(each)]),
          )
        : value
  return withSecrets(modules) as Modules
}

function seriesOf({ families }: Page): string[] {
  return [...families]
    .flatMap(([name, { type, samples }]) =>
      samples.map(({ labels, value }) => {
        const isDuration = name.endsWith('_duration_seconds') || name === 'probe_dns_lookup_time_seconds'
        return `${name} ${type} ${JSON.stringify(Object.entries(labels).sort())} ${isDuration ? '' : value}`
      }),
    )
    .sort()
}

/** What a play is for, the module that it is asked with, whether the probe succeeds, and what the server then has heard. */
type DialogueCase = { name: string; tcp: Record<string, unknown>; play: Act[]; success: 0 | 1; timeout?: string }

function dialogues({ ca, cert, key, authority }: { ca: string; cert: string; key: string; authority: string }): DialogueCase[] {
  const starttls = {
    query_response: [
      { expect: '^220 ([^ ]+) ESMTP' },
      { send: 'EHLO prober' },
      { expect: '^250[- ]STARTTLS' },
      { send: 'STARTTLS' },
      { expect: '^220' },
      { starttls: true },
      { send: 'QUIT' },
      { expect: '^221' },
    ],
  }
  const mail: Act[] = [{ say: '220 quay ESMTP hello\r\n' }, { wait: true }]
  const secured: Act[] = [{ wait: true }, { say: '220 go\r\n' }, { secure: { cert, key } }, { wait: true }, { say: '221 bye\r\n' }]
  const offering: Act[] = [...mail, { say: '250-quay\r\n250-SIZE 9\r\n250-STARTTLS\r\n250 HELP\r\n' }, ...secured]
  const greeting = (say: string, ...more: Act[]): Act[] => [{ say }, ...more]
  return [
    {
      name: 'SMTP with STARTTLS, trusted',
      tcp: { ...starttls, tls_config: { ca_file: ca, server_name: 'localhost' } },
      play: offering,
      success: 1,
    },
    { name: 'SMTP with STARTTLS, by its address', tcp: { ...starttls, tls_config: { ca_file: ca } }, play: offering, success: 1 },
    {
      name: 'SMTP with STARTTLS, of another name',
      tcp: { ...starttls, tls_config: { ca_file: ca, server_name: 'shop.invalid' } },
      play: offering,
      success: 0,
    },
    { name: 'SMTP with STARTTLS, not trusted', tcp: starttls, play: offering, success: 0 },
    {
      name: 'SMTP with STARTTLS, unverified',
      tcp: { ...starttls, tls_config: { insecure_skip_verify: true } },
      play: offering,
      success: 1,
    },
    {
      name: 'SMTP with STARTTLS, unverified although it could be',
      tcp: { ...starttls, tls_config: { ca_file: ca, insecure_skip_verify: true } },
      play: offering,
      success: 1,
    },
    { name: 'SMTP without STARTTLS', tcp: starttls, play: [...mail, { say: '250 quay\r\n' }, { close: true }], success: 0 },
    {
      name: 'POP over TLS with its authority, trusted',
      tcp: { query_response: [{ expect: '^\\+OK' }], tls: true, tls_config: { ca_file: ca } },
      play: [{ secure: { cert: `${cert}\n${authority}`, key } }, { say: '+OK ready\r\n' }],
      success: 1,
    },
    {
      name: 'POP over TLS',
      tcp: { query_response: [{ expect: '^\\+OK' }], tls: true, tls_config: { insecure_skip_verify: true } },
      play: [{ secure: { cert, key } }, { say: '+OK ready\r\n' }],
      success: 1,
    },
    {
      name: 'IRC',
      tcp: { query_response: [{ send: 'NICK prober' }, { expect: 'PING :([^ ]+)', send: 'PONG $1' }, { expect: '^:[^ ]+ 001' }] },
      play: [{ wait: true }, { say: ':irc NOTICE hi\r\nPING :c0ffee\r\n' }, { wait: true }, { say: ':irc 001 hi\r\n' }],
      success: 1,
    },
    {
      name: 'groups of every kind in what is sent',
      tcp: {
        query_response: [
          { expect: '(?P<who>\\w+) (x)?(\\w+)', send: `$1 \${1}x $1x \${who} $who. $2|$3 $9 $$1 $ $- \${ \${} \${3` },
          { expect: 'end' },
        ],
      },
      play: [{ say: 'one two\n' }, { wait: true }, { say: 'end\n' }],
      success: 1,
    },
    {
      name: 'dollars where nothing is expected',
      tcp: { query_response: [{ send: `$1 \${1} $$` }, { expect: 'end' }] },
      play: [{ wait: true }, { say: 'end\n' }],
      success: 1,
    },
    {
      name: 'a last line without an end',
      tcp: { query_response: [{ expect: '^bye$' }] },
      play: greeting('hello\r\nbye', { close: true }),
      success: 1,
    },
    {
      name: 'a line with two returns',
      tcp: { query_response: [{ expect: '^hello.$' }] },
      play: greeting('hello\r\r\n', { close: true }),
      success: 1,
    },
    {
      name: 'a line that only its end would match',
      tcp: { query_response: [{ expect: '\\n' }] },
      play: greeting('hello\n', { close: true }),
      success: 0,
    },
    {
      name: 'bytes that are not UTF-8',
      tcp: { query_response: [{ expect: '^caf.+!$' }] },
      play: greeting('caf\xe9\xff!\n', { close: true }),
      success: 1,
    },
    { name: 'a line of almost 64 KiB', tcp: { query_response: [{ expect: 'a$' }] }, play: greeting(`${'a'.repeat(65_534)}\n`), success: 1 },
    {
      name: 'a line of 64 KiB',
      tcp: { query_response: [{ expect: 'a$' }] },
      play: greeting(`${'a'.repeat(65_537)}\n`, { close: true }),
      success: 0,
    },
    {
      name: 'lines of more than 64 KiB together',
      tcp: { query_response: [{ expect: '^end' }] },
      play: greeting(`${'line\n'.repeat(30_000)}end\n`),
      success: 1,
    },
    { name: 'an end before anything', tcp: { query_response: [{ expect: 'x' }] }, play: [{ close: true }], success: 0 },
    { name: 'silence', tcp: { query_response: [{ expect: 'x' }] }, play: [], success: 0, timeout: '300ms' },
    { name: 'lines that never match', tcp: { query_response: [{ expect: 'x' }] }, play: greeting('a\nb\n'), success: 0, timeout: '300ms' },
    { name: 'a step that neither expects nor sends', tcp: { query_response: [{}, { send: '' }] }, play: [], success: 1 },
    {
      name: 'any line',
      tcp: { query_response: [{ expect: '', send: 'hello' }, { expect: 'end' }] },
      play: [{ say: '\n' }, { wait: true }, { say: 'end\n' }],
      success: 1,
    },
    { name: 'an address to come from', tcp: { source_ip_address: '127.0.0.2' }, play: [], success: 1 },
    { name: 'an address that is not of this machine', tcp: { source_ip_address: '192.0.2.1' }, play: [], success: 0 },
    { name: 'an address of another family', tcp: { source_ip_address: '::1' }, play: [], success: 0 },
    { name: 'nothing but a connection', tcp: {}, play: [{ close: true }], success: 1 },
  ]
}

test('a dialogue over TCP ends as with a real blackbox_exporter, and the server hears the same', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-'))
  t.after(() => rm(folder, { recursive: true }))
  const signed = await createCertificate({ days: 400 }) // longer than that of its authority
  const { ca } = await writeCertificate(folder, signed)
  const cases = dialogues({ ...signed, ca, authority: signed.ca })
  const modules = Object.fromEntries(
    cases.map(({ tcp, timeout = '5s' }, index) => [`m${index}`, { prober: 'tcp', timeout, tcp: { preferred_ip_protocol: 'ip4', ...tcp } }]),
  )
  const { ask } = await startBoth(
    t,
    { ...modules, plain: { prober: 'tcp', tcp: {} }, secure: { prober: 'tcp', tcp: { tls: true } } },
    signed.ca,
  )
  for (const [index, { name, play, success }] of cases.entries())
    await t.test(name, async (t) => {
      const server = await startDialogue(t, play)
      const found = await ask(`m${index}`, `127.0.0.1:${server.port}`)
      assert.deepEqual(found.ours, found.theirs)
      assert.equal(found.success, success)
      for (const list of [server.heard, server.from]) assert.deepEqual(list.slice(list.length / 2), list.slice(0, list.length / 2))
    })
  const open = await listen(t, (socket) => socket.on('data', () => {}))
  for (const [module, target] of [
    ['plain', 'localhost:1'],
    ['plain', 'nowhere.invalid:25'],
    ['plain', `[::1]:${open}`],
    ['plain', `localhost:${open}`],
    ['secure', '127.0.0.1:1'],
  ] as const)
    await t.test(`${module} of ${target.replace(/\d{4,}/, 'PORT')}`, async () => {
      const found = await ask(module, target)
      assert.deepEqual(found.ours, found.theirs)
    })
})

/** Types that the miekg/dns of that version (1.1.50) prints otherwise than those since 1.1.54. */
const printedOtherwise = new Set(['ISDN', 'AAAA ::ffff:192.0.2.1'])

test('the text of a record of each type is that of a real blackbox_exporter', async (t) => {
  const names = zone.map((_, index) => `r${index}.quay.example`)
  const query = (name: string) =>
    Buffer.concat([
      Buffer.alloc(12),
      ...name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
      Buffer.from([0, 0, 1, 0, 1]),
    ])
  const port = await startNameServer(t, (asked) => {
    const index = names.findIndex((name) => questionOf(asked).equals(questionOf(query(name))))
    return answerTo(asked, { answer: [zone[index] as WireRecord] })
  })
  const texts = names.map((name, index) => recordText(answerOf(answerTo(query(name), { answer: [zone[index] as WireRecord] })).answer))
  const modules = names.map((query_name, index) => [
    `r${index}`,
    {
      prober: 'dns',
      dns: {
        query_name,
        query_type: 'A',
        preferred_ip_protocol: 'ip4',
        validate_answer_rrs: { fail_if_not_matches_regexp: [`^${escaped(texts[index] as string)}$`] },
      },
    },
  ])
  const { ask } = await startBoth(t, Object.fromEntries(modules))
  for (const [index, text] of texts.entries())
    await t.test(JSON.stringify(text), async () => {
      const { theirs, ours, success } = await ask(`r${index}`, `127.0.0.1:${port}`)
      const [, , , type, data] = text.split('\t')
      if (printedOtherwise.has(type ?? '') || printedOtherwise.has(`${type} ${data}`)) {
        assert.equal(success, 0)
        assert.ok(ours.includes('probe_success gauge [] 1'))
      } else {
        assert.equal(success, 1)
        assert.deepEqual(ours, theirs)
      }
    })
})

/** A text as a regular expression of RE2 that matches nothing else. */
function escaped(text: string): string {
  return text.replace(/[^A-Za-z0-9]/g, (letter) => `\\x{${letter.charCodeAt(0).toString(16)}}`)
}

const one: WireRecord = { type: 'A', data: Buffer.from([127, 0, 0, 1]) }
const two: WireRecord = { type: 'A', data: Buffer.from([127, 0, 0, 2]) }
const big: WireRecord = { type: 'TXT', data: Buffer.concat([Buffer.from([250]), Buffer.alloc(250, 'x')]) }
const serial = (number: number): WireRecord => ({
  type: 'SOA',
  data: Buffer.concat([Buffer.from([0, 0, 0, 0, 0, number]), Buffer.alloc(16)]),
})
const rules = ['fail_if_matches_regexp', 'fail_if_all_match_regexp', 'fail_if_not_matches_regexp', 'fail_if_none_matches_regexp']
const sections = ['answer', 'authority', 'additional'] as const

/** Modules for one query each, by what the name server makes of the name. */
function queries(): Record<string, { dns: Record<string, unknown>; answer(query: Buffer): Buffer | undefined }> {
  const made: ReturnType<typeof queries> = {}
  for (const section of sections)
    for (const rule of rules)
      for (const [expressions, meaning] of [
        [['127.0.0.1$'], 'one'],
        [['127.0.0', 'IN'], 'both'],
        [['^$', '127.0.0.1'], 'some'],
        [['[[:upper:]]{9}'], 'neither'],
        [[], 'no rule'],
      ] as const)
        for (const [records, count] of [
          [[], 'none'],
          [[one], 'one'],
          [[one, two], 'two'],
        ] as const)
          made[`${section} ${rule} ${meaning} of ${count}`] = {
            dns: { [`validate_${section}_rrs`]: { [rule]: expressions } },
            answer: (query) => answerTo(query, { [section]: records }),
          }
  const code = (code: number) => (query: Buffer) => answerTo(query, {}, { code })
  const given = { answer: [one], authority: [two, one], additional: [one, two, one] }
  return {
    ...made,
    refused: { dns: {}, answer: code(5) },
    'refused, as expected': { dns: { valid_rcodes: ['NXDOMAIN', 'REFUSED'] }, answer: code(5) },
    'code 10, as expected': { dns: { valid_rcodes: ['NOTZONE'] }, answer: code(10) },
    'an address to come from': { dns: { source_ip_address: '127.0.0.3' }, answer: code(0) },
    'an address to come from, over TCP': { dns: { source_ip_address: '127.0.0.3', transport_protocol: 'tcp' }, answer: code(0) },
    'an address of another family': { dns: { source_ip_address: '::1' }, answer: code(0) },
    'an address that is not of this machine': { dns: { source_ip_address: '192.0.2.1' }, answer: code(0) },
    'no valid code at all': { dns: { valid_rcodes: [] }, answer: code(0) },
    'all sections': { dns: { query_type: 'ANY' }, answer: (query) => answerTo(query, given) },
    'class CH': {
      dns: { query_class: 'CH', query_type: 'TXT' },
      answer: (query) => (query.subarray(-2).equals(Buffer.from([0, 3])) ? answerTo(query, given) : undefined),
    },
    'no recursion': { dns: { recursion_desired: false }, answer: (query) => answerTo(query, {}, { code: (query[2] as number) & 1 }) },
    SOA: { dns: { query_type: 'SOA' }, answer: (query) => answerTo(query, { answer: [serial(7), serial(9)], authority: [serial(1)] }) },
    'SOA without one': { dns: { query_type: 'SOA' }, answer: (query) => answerTo(query, { answer: [one] }) },
    'too large for UDP': { dns: {}, answer: (query) => answerTo(query, { answer: [big, big, big] }) },
    'large over TCP': {
      dns: { transport_protocol: 'tcp' },
      answer: (query) => answerTo(query, { answer: Array.from({ length: 200 }, () => big) }),
    },
    'counts that lie': { dns: {}, answer: (query) => Buffer.concat([answerTo(query, given).subarray(0, 12), questionOf(query)]) },
    'a record that is cut': { dns: {}, answer: (query) => answerTo(query, given).subarray(0, -3) },
    'a record with too much': { dns: {}, answer: (query) => answerTo(query, { answer: [{ ...one, data: Buffer.alloc(5) }] }) },
    'a name in a circle': {
      dns: {},
      answer: (query) => answerTo(query, { answer: [{ ...one, owner: Buffer.from([0xc0, 12 + questionOf(query).length]) }] }),
    },
    'more behind the records': { dns: {}, answer: (query) => answerTo(query, { answer: [one] }, { extra: Buffer.from('more') }) },
    'a header alone': { dns: {}, answer: (query) => answerTo(query, given).subarray(0, 12) },
    'less than a header': { dns: { transport_protocol: 'tcp' }, answer: (query) => answerTo(query, given).subarray(0, 11) },
    'another id over TCP': {
      dns: { transport_protocol: 'tcp' },
      answer: (query) => answerTo(Buffer.concat([Buffer.from([(query[0] as number) ^ 1]), query.subarray(1)]), given),
    },
    EDNS: {
      dns: {},
      answer: (query) =>
        answerTo(query, { additional: [{ type: 'OPT', data: Buffer.alloc(0), class: 4096, ttl: 0x01_00_80_00 }] }, { code: 7 }),
    },
    'EDNS, its code as expected': {
      dns: { valid_rcodes: ['BADCOOKIE'] },
      answer: (query) =>
        answerTo(query, { additional: [{ type: 'OPT', data: Buffer.alloc(0), class: 4096, ttl: 0x01_00_80_00 }] }, { code: 7 }),
    },
  }
}

test('a DNS probe ends as with a real blackbox_exporter, for each rule and for broken answers', async (t) => {
  const cases = Object.entries(queries())
  const names = cases.map((_, index) => `q${index}`)
  const port = await startNameServer(t, (query) => {
    const index = names.indexOf(query.toString('latin1', 13, 13 + (query[12] as number)))
    return cases[index]?.[1].answer(query)
  })
  const modules = cases.map(([, { dns }], index) => [
    `q${index}`,
    { prober: 'dns', timeout: '2s', dns: { query_name: names[index], query_type: 'A', preferred_ip_protocol: 'ip4', ...dns } },
  ])
  const { ask } = await startBoth(t, Object.fromEntries(modules))
  for (const [index, [name]] of cases.entries())
    await t.test(name, async () => {
      const { theirs, ours } = await ask(`q${index}`, `127.0.0.1:${port}`)
      assert.deepEqual(ours, theirs)
    })
})

test('a DNS probe over TLS ends as with a real blackbox_exporter', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-'))
  t.after(() => rm(folder, { recursive: true }))
  const signed = await createCertificate()
  const { ca } = await writeCertificate(folder, signed)
  const port = await startSecureNameServer(t, (query) => answerTo(query, { answer: [one] }), signed)
  const dns = { query_name: 'quay.example', query_type: 'A', transport_protocol: 'tcp', dns_over_tls: true, preferred_ip_protocol: 'ip4' }
  const { ask } = await startBoth(
    t,
    {
      trusted: { prober: 'dns', dns: { ...dns, tls_config: { ca_file: ca } } },
      named: { prober: 'dns', dns: { ...dns, tls_config: { ca_file: ca, server_name: 'shop.invalid' } } },
      stranger: { prober: 'dns', dns },
      any: { prober: 'dns', dns: { ...dns, tls_config: { insecure_skip_verify: true } } },
    },
    signed.ca,
  )
  for (const [module, expected] of Object.entries({ trusted: 1, named: 0, stranger: 0, any: 1 }))
    await t.test(module, async () => {
      const { theirs, ours, success } = await ask(module, `127.0.0.1:${port}`)
      assert.deepEqual(ours, theirs)
      assert.equal(success, expected)
    })
})

test('a ping ends as with a real blackbox_exporter', async (t) => {
  const { ask } = await startBoth(t, {
    four: { prober: 'icmp', timeout: '2s', icmp: { preferred_ip_protocol: 'ip4' } },
    six: { prober: 'icmp', timeout: '2s' },
    small: { prober: 'icmp', timeout: '2s', icmp: { payload_size: 4 } },
    sourced: { prober: 'icmp', timeout: '2s', icmp: { source_ip_address: '127.0.0.2' } },
    stranger: { prober: 'icmp', timeout: '1s', icmp: { source_ip_address: '192.0.2.1' } },
    large: { prober: 'icmp', timeout: '2s', icmp: { payload_size: 2000, dont_fragment: true, ttl: 5 } },
  })
  for (const [module, target] of [
    ['four', '127.0.0.1'],
    ['four', 'localhost'],
    ['six', '::1'],
    ['small', '127.0.0.1'],
    ['large', '127.0.0.1'],
    ['sourced', '127.0.0.1'],
    ['stranger', '127.0.0.1'],
    ['four', 'nowhere.invalid'],
  ] as const)
    await t.test(`${module} of ${target}`, async () => {
      const { theirs, ours } = await ask(module, target)
      assert.deepEqual(ours, theirs)
    })
})
