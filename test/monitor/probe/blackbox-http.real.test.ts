import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { deflateRawSync, gzipSync } from 'node:zlib'
import { parse } from 'yaml'
import { FollowedModules } from '../../../monitor/probe/index.ts'
import { systemClock } from '../../../shared/clock.ts'
import { startBlackbox } from '../../peers/blackbox.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { listen, serve } from '../checks/servers.ts'
import { startEndpoint } from '../metrics/endpoint-in-hand.ts'
import { type Page, readPage } from '../metrics/reading.ts'
import { logLines } from '../prober/scene.ts'
import { startProxy } from './proxy-server.ts'

/** In the style of public files; for both programs as they stand, with the path of the target behind each. */
const modules = `
  http_2xx: { prober: http, timeout: 5s, http: { valid_http_versions: ["HTTP/1.1", "HTTP/2.0"], valid_status_codes: [], method: GET, preferred_ip_protocol: ip4 } } # /
  http_null: { prober: http, http: } # /
  http_v2_only: { prober: http, http: { valid_http_versions: ["HTTP/2.0"] } } # /
  http_post: { prober: http, http: { method: POST, headers: { Content-Type: application/json }, body: '{"a":1}' } } # /
  http_head: { prober: http, http: { method: HEAD } } # /
  http_404: { prober: http, http: { valid_status_codes: [404] } } # /missing
  http_any: { prober: http, http: { valid_status_codes: [200, 401, 404, 500] } } # /broken
  http_broken: { prober: http } # /broken
  http_redirect: { prober: http, http: { no_follow_redirects: true, valid_status_codes: [301, 302] } } # /away
  http_follow: { prober: http, http: { no_follow_redirects: false } } # /away
  http_still: { prober: http, http: { follow_redirects: false } } # /away
  http_login: { prober: http, http: { basic_auth: { username: probe, password: example } } } # /private
  http_wrong_login: { prober: http, http: { basic_auth: { username: probe, password: other } } } # /private
  http_bearer: { prober: http, http: { bearer_token: s3cret } } # /token
  http_bearer_file: { prober: http, http: { bearer_token_file: FOLDER/token } } # /token
  http_authorization: { prober: http, http: { authorization: { credentials: s3cret } } } # /token
  http_authorization_type: { prober: http, http: { authorization: { type: Token, credentials_file: FOLDER/token } } } # /token
  http_gzip: { prober: http, http: { compression: gzip, headers: { Accept-Encoding: gzip }, fail_if_body_not_matches_regexp: [hello] } } # /gzip
  http_gzip_not: { prober: http, http: { compression: gzip } } # /
  http_deflate: { prober: http, http: { compression: deflate } } # /deflate
  http_undecoded: { prober: http } # /gzip
  http_limit: { prober: http, http: { body_size_limit: 1KB } } # /
  http_limit_reached: { prober: http, http: { body_size_limit: 3B } } # /
  http_body: { prober: http, http: { fail_if_body_matches_regexp: ['"errors"[[:space:]]*:'], fail_if_body_not_matches_regexp: ['^hel+o\\b'] } } # /
  http_body_wrong: { prober: http, http: { fail_if_body_not_matches_regexp: ['(?i)BYE'] } } # /
  http_body_bad_status: { prober: http, http: { fail_if_body_not_matches_regexp: ['(?i)BYE'] } } # /broken
  http_header: { prober: http, http: { fail_if_header_matches: [{ header: Set-Cookie, regexp: '.*', allow_missing: true }] } } # /
  http_header_missing: { prober: http, http: { fail_if_header_not_matches: [{ header: X-Ship, regexp: '.' }] } } # /
  http_header_value: { prober: http, http: { fail_if_header_not_matches: [{ header: x-site, regexp: '(\\*|harbour)' }] } } # /
  http_not_ssl: { prober: http, http: { fail_if_not_ssl: true } } # /
  http_ssl: { prober: http, http: { fail_if_ssl: yes } } # /
  http_modified: { prober: http } # /modified
  http_empty: { prober: http, http: { valid_status_codes: [204] } } # /empty
  http_cut: { prober: http } # /cut
  http_endless: { prober: http } # /endless
  http_dump: { prober: http, timeout: 5s, http: { ip_protocol_fallback: true, follow_redirects: true }, tcp: { ip_protocol_fallback: true }, icmp: { ip_protocol_fallback: true, ttl: 64 } } # /
  tls_insecure: { prober: http, http: { tls_config: { insecure_skip_verify: true } } } # https
  tls_trusted: { prober: http, http: { tls_config: { ca_file: FOLDER/ca.pem } } } # https
  tls_untrusted: { prober: http } # https
  tls_name: { prober: http, http: { tls_config: { ca_file: FOLDER/ca.pem, server_name: localhost } } } # https
  tls_wrong_name: { prober: http, http: { tls_config: { ca_file: FOLDER/ca.pem, server_name: elsewhere } } } # https
  tls_host: { prober: http, http: { headers: { Host: localhost }, tls_config: { ca_file: FOLDER/ca.pem } } } # https
  tls_http1: { prober: http, http: { enable_http2: false, tls_config: { insecure_skip_verify: true } } } # https
  tls_versions: { prober: http, http: { valid_http_versions: ["HTTP/1.1"], tls_config: { insecure_skip_verify: true } } } # https
  proxy: { prober: http, http: { proxy_url: "http://probe:e%25mple@127.0.0.1:PROXY" } } # /
  proxy_wrong_login: { prober: http, http: { proxy_url: "http://probe:other@127.0.0.1:PROXY" } } # /
  proxy_broken: { prober: http, http: { proxy_url: "http://probe:e%25mple@127.0.0.1:PROXY", headers: { X-Site: harbour } } } # /broken
  proxy_follow: { prober: http, http: { proxy_url: "http://probe:e%25mple@127.0.0.1:PROXY" } } # /away
  proxy_skip: { prober: http, http: { proxy_url: "http://probe:e%25mple@127.0.0.1:PROXY", skip_resolve_phase_with_proxy: true } } # /
  proxy_skip_follow: { prober: http, http: { proxy_url: "http://probe:e%25mple@127.0.0.1:PROXY", skip_resolve_phase_with_proxy: true } } # /away
  proxy_unreachable: { prober: http, http: { proxy_url: "http://127.0.0.1:1" } } # /
  proxy_tls: { prober: http, http: { proxy_url: "http://probe:e%25mple@127.0.0.1:PROXY", tls_config: { ca_file: FOLDER/ca.pem } } } # https
  proxy_tls_skip: { prober: http, http: { proxy_url: "http://probe:e%25mple@127.0.0.1:PROXY", skip_resolve_phase_with_proxy: true, tls_config: { insecure_skip_verify: true } } } # https
  proxy_tls_login: { prober: http, http: { proxy_url: "http://127.0.0.1:PROXY", proxy_connect_header: { Proxy-Authorization: ["Basic cHJvYmU6ZSVtcGxl"] }, tls_config: { insecure_skip_verify: true } } } # https
  proxy_tls_wrong_login: { prober: http, http: { proxy_url: "http://127.0.0.1:PROXY", tls_config: { insecure_skip_verify: true } } } # https
  oauth2: { prober: http, http: { oauth2: { client_id: probe, client_secret: example, token_url: "ISSUER", scopes: [read], endpoint_params: { for: site } } } } # /token
  oauth2_file: { prober: http, http: { oauth2: { client_id: probe, client_secret_file: FOLDER/secret, token_url: "ISSUER", scopes: [read], endpoint_params: { for: site } } } } # /token
  oauth2_follow: { prober: http, http: { oauth2: { client_id: probe, client_secret: example, token_url: "ISSUER", scopes: [read], endpoint_params: { for: site } } } } # /away
  oauth2_wrong_login: { prober: http, http: { oauth2: { client_id: probe, client_secret: other, token_url: "ISSUER" } } } # /token
  tls_refused: { prober: http, http: { fail_if_ssl: true, tls_config: { insecure_skip_verify: true } } } # https
`

/** Series whose values are times, and differ from probe to probe. */
const ofTime = /^probe_(dns_lookup_time_seconds|duration_seconds|http_duration_seconds)$/

async function servers(t: TestContext, folder: string) {
  const gzip = gzipSync('hello there')
  const deflate = deflateRawSync('hello there')
  const isAllowed = (given: unknown, wanted: string[]) => wanted.includes(String(given))
  const plain = await serve(t, {
    '/': () => ({ body: 'hello', headers: { 'x-site': 'harbour' } }),
    '/broken': () => ({ status: 500, body: 'no' }),
    '/missing': () => ({ status: 404, body: 'nothing' }),
    '/away': () => ({ status: 302, body: 'away', headers: { location: '/' } }),
    '/private': ({ headers }: { headers: Record<string, unknown> }) =>
      isAllowed(headers.authorization, [`Basic ${btoa('probe:example')}`]) ? { body: 'in' } : { status: 401, body: 'out' },
    '/token': ({ headers }: { headers: Record<string, unknown> }) =>
      isAllowed(headers.authorization, ['Bearer s3cret', 'Token s3cret']) ? { body: 'in' } : { status: 401, body: 'out' },
    '/issuer': ({ headers }: { headers: Record<string, unknown> }, body: string) => {
      const fields = Object.fromEntries(new URLSearchParams(body))
      if (!isAllowed(headers.authorization, [`Basic ${btoa('probe:example')}`])) return { status: 401, body: '{}' }
      if (fields.scope !== 'read' || fields.for !== 'site') return { status: 400, body: '{}' }
      const answer = JSON.stringify({ access_token: 's3cret', token_type: 'bearer', expires_in: 3600 })
      return { body: answer, headers: { 'content-type': 'application/json' } }
    },
    '/modified': () => ({ body: 'old', headers: { 'last-modified': 'Wed, 21 Oct 2015 07:28:00 GMT' } }),
  })
  const raw: Record<string, Buffer> = {
    '/gzip': Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${gzip.length}\r\n\r\n`), gzip]),
    '/deflate': Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${deflate.length}\r\n\r\n`), deflate]),
    '/empty': Buffer.from('HTTP/1.1 204 No Content\r\n\r\n'),
    '/cut': Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello'),
    '/endless': Buffer.from('HTTP/1.0 200 OK\r\n\r\nhello'),
  }
  const odd = await listen(t, (socket) =>
    socket.once('data', (request) => socket.end(raw[request.toString().split(' ')[1] ?? ''] ?? 'HTTP/1.1 404 Not Found\r\n\r\n')),
  )
  const { ca, cert, key } = await createCertificate()
  writeFileSync(path.join(folder, 'ca.pem'), ca)
  writeFileSync(path.join(folder, 'token'), 's3cret\n')
  writeFileSync(path.join(folder, 'secret'), 'example\n')
  const secure = createSecureServer({ cert, key, allowHTTP1: true }, (_request, response) => response.end('hello'))
  await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
  t.after(() => secure.close())
  return (where: string) => {
    if (where === 'https') return `https://127.0.0.1:${(secure.address() as AddressInfo).port}/`
    return where in raw ? `http://127.0.0.1:${odd}${where}` : plain + where
  }
}

test('modules of a blackbox.yml give what a real blackbox_exporter gives: the result and every series with its value', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'skerry-blackbox-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const target = await servers(t, folder)
  const proxy = await startProxy(t, { credentials: true })
  const places = { FOLDER: folder, PROXY: String(proxy.port), ISSUER: target('/issuer') }
  const text = `modules:${modules.replace(/FOLDER|PROXY|ISSUER/g, (place) => places[place as keyof typeof places])}`
  const file = path.join(folder, 'blackbox.yml')
  writeFileSync(file, text)
  const blackbox = await startBlackbox(t, parse(text).modules)
  const followed = new FollowedModules(file, { clock: systemClock, log: logLines().log })
  await followed.start()
  t.after(() => followed.stop())
  const allow = [{ addresses: ['127.0.0.0/8'], ports: ['1-65535'] }]
  const { url } = await startEndpoint(t, { probe: { allow } }, { modules: followed })
  const cases = [...modules.matchAll(/^ {2}(\w+):.*# (\S+)$/gm)].map(([, module = '', where = '']) => ({ module, where }))
  assert.ok(cases.length >= 25)
  for (const { module, where } of cases)
    await t.test(`${module} of ${where}`, async () => {
      const read = async (base: string) => {
        const query = new URLSearchParams({ module, target: target(where) })
        const response = await fetch(`${base}/probe?${query}`, { headers: { 'X-Prometheus-Scrape-Timeout-Seconds': '5' } })
        const page = await response.text()
        assert.equal(response.status, 200, page)
        return readPage(page)
      }
      // No series differs on purpose.
      const ours = await read(url)
      assert.deepEqual(seriesOf(ours), seriesOf(await read(blackbox.url)))
      if (/^(proxy|oauth2)/.test(module))
        assert.equal(ours.value('probe_success'), /wrong|broken|unreachable/.test(module) ? 0 : 1, 'equal, but not as meant')
    })
})

/** Every series by its name, its type, its labels and its value; of times only that it is there. */
function seriesOf({ families }: Page): string[] {
  return [...families]
    .flatMap(([name, { type, samples }]) =>
      samples.map(
        ({ labels, value }) => `${name} ${type} ${JSON.stringify(Object.entries(labels).sort())} ${ofTime.test(name) ? 'time' : value}`,
      ),
    )
    .sort()
}
