import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { startBlackbox } from '../../peers/blackbox.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { listen, serve } from '../checks/servers.ts'
import { startEndpoint } from '../metrics/endpoint-in-hand.ts'
import { type Page, readPage } from '../metrics/reading.ts'

/** Written once, for both: what blackbox_exporter's users have, they can keep. */
const modules = {
  http_2xx: { prober: 'http' as const },
  insecure: { prober: 'http' as const, http: { tls_config: { insecure_skip_verify: true } } },
  still: { prober: 'http' as const, http: { follow_redirects: false, valid_status_codes: [302] } },
  wants_body: { prober: 'http' as const, timeout: '5s', http: { fail_if_body_not_matches_regexp: ['(?i)bye'] } },
  wants_header: { prober: 'http' as const, http: { fail_if_header_not_matches: [{ header: 'X-Ship', regexp: '.' }] } },
  tcp_connect: { prober: 'tcp' as const },
  tls_connect: { prober: 'tcp' as const, tcp: { tls: true, tls_config: { insecure_skip_verify: true } } },
  banner: { prober: 'tcp' as const, tcp: { query_response: [{ expect: '^220 (.+)', send: `HELO \${1}` }, { expect: '^250' }] } },
  dns: { prober: 'dns' as const, dns: { query_name: 'example.com', query_type: 'A' as const } },
}

/** What must be the same in value, not only in name. */
const equal = [
  'probe_success',
  'probe_http_status_code',
  'probe_http_content_length',
  'probe_http_uncompressed_body_length',
  'probe_http_redirects',
  'probe_http_ssl',
  'probe_failed_due_to_regex',
  'probe_ip_protocol',
  'probe_ip_addr_hash',
  'probe_ssl_earliest_cert_expiry',
  'probe_ssl_last_chain_expiry_timestamp_seconds',
  'probe_dns_answer_rrs',
  'probe_dns_authority_rrs',
  'probe_dns_additional_rrs',
  'probe_dns_query_succeeded',
]

test('the names and the meaning of its series are those of a real blackbox_exporter', async (t) => {
  const web = await serve(t, { '/': 'hello', '/broken': () => ({ status: 500, body: 'no' }) })
  const redirecting = await listen(t, (socket) =>
    socket.once('data', () => socket.end(`HTTP/1.1 302 Found\r\nLocation: ${web}/\r\nContent-Length: 0\r\n\r\n`)),
  )
  const circle = await listen(t, (socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n')),
  )
  const smtp = await listen(t, (socket) => {
    socket.write('220 harbour\r\n')
    socket.on('data', (bytes) => socket.write(bytes.toString() === 'HELO harbour\n' ? '250 hello\r\n' : '500 what\r\n'))
  })
  const { cert, key } = await createCertificate()
  const secure = createServer({ cert, key, ALPNProtocols: ['http/1.1'] }, (_request, response) => response.end('hello'))
  await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
  t.after(() => secure.close())
  const securePort = (secure.address() as AddressInfo).port
  const names = createSocket('udp4')
  names.on('message', (query, { port, address }) => {
    const answer = Buffer.from(query)
    answer[2] = 0x81
    names.send(answer, port, address)
  })
  await new Promise<void>((resolve) => names.bind(0, '127.0.0.1', resolve))
  t.after(() => names.close())

  const blackbox = await startBlackbox(t, modules)
  const { url } = await startEndpoint(t, {
    probe: { modules, allow: [{ hosts: ['localhost', '*.invalid'], addresses: ['127.0.0.0/8'], ports: ['1-65535'] }] },
  })

  const targets: [module: keyof typeof modules, target: string][] = [
    ['http_2xx', `${web}/`],
    ['http_2xx', web.slice('http://'.length)],
    ['http_2xx', `${web}/broken`],
    ['http_2xx', `http://127.0.0.1:${redirecting}/`],
    ['http_2xx', `http://127.0.0.1:${circle}/`],
    ['http_2xx', 'http://127.0.0.1:1/'],
    ['http_2xx', 'http://nowhere.invalid/'],
    ['still', `http://127.0.0.1:${redirecting}/`],
    ['wants_body', `${web}/`],
    ['wants_header', `${web}/`],
    ['http_2xx', `https://127.0.0.1:${securePort}/`],
    ['insecure', `https://127.0.0.1:${securePort}/`],
    ['tcp_connect', `127.0.0.1:${smtp}`],
    ['tcp_connect', '127.0.0.1:1'],
    ['banner', `127.0.0.1:${smtp}`],
    ['tls_connect', `127.0.0.1:${securePort}`],
    ['tls_connect', `127.0.0.1:${smtp}`],
    ['dns', `127.0.0.1:${names.address().port}`],
  ]
  for (const [module, target] of targets)
    await t.test(`${module} of ${target.replace(/\d{4,}/, 'PORT')}`, async () => {
      const read = async (base: string) => {
        const response = await fetch(`${base}/probe?${new URLSearchParams({ module, target })}`, {
          headers: { 'X-Prometheus-Scrape-Timeout-Seconds': '5' },
        })
        const text = await response.text()
        assert.equal(response.status, 200, text)
        return readPage(text)
      }
      const [theirs, ours] = await Promise.all([read(blackbox.url), read(url)])
      assert.deepEqual(seriesOf(ours), seriesOf(theirs))
      for (const name of equal) assert.equal(ours.value(name), theirs.value(name), name)
      for (const { labels, value } of theirs.all('probe_ssl_last_chain_info'))
        assert.equal(
          ours.value('probe_ssl_last_chain_info', labels),
          value,
          JSON.stringify([labels, ours.all('probe_ssl_last_chain_info')]),
        )
      for (const { labels } of theirs.all('probe_tls_version_info')) assert.equal(ours.value('probe_tls_version_info', labels), 1)
    })
})

/** Every series by its name, its type and the names of its labels; the phases by their values too. */
function seriesOf({ families }: Page): string[] {
  return [...families]
    .flatMap(([name, { type, samples }]) =>
      samples.map(({ labels }) => `${name} ${type} ${Object.keys(labels).sort()} ${labels.phase ?? ''}`),
    )
    .sort()
}
