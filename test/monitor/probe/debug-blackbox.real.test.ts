import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startBlackbox } from '../../peers/blackbox.ts'
import { listen, serve } from '../checks/servers.ts'
import { startEndpoint } from '../metrics/endpoint-in-hand.ts'

const modules = {
  http_2xx: { prober: 'http' as const },
  still: { prober: 'http' as const, http: { follow_redirects: false } },
  body: { prober: 'http' as const, http: { fail_if_body_matches_regexp: ['hello'] } },
  no_body: { prober: 'http' as const, http: { fail_if_body_not_matches_regexp: ['bye'] } },
  header: { prober: 'http' as const, http: { fail_if_header_not_matches: [{ header: 'X-Ship', regexp: '.' }] } },
  tcp_connect: { prober: 'tcp' as const },
  banner: { prober: 'tcp' as const, tcp: { query_response: [{ expect: '^220', send: 'HELO harbour' }, { expect: '^250' }] } },
}

/** The messages of a dialogue, each once, in their order. */
function stepsOf(text: string): string[] {
  const [logs = ''] = text.split('\n\n\n')
  return [...new Set([...logs.matchAll(/\bmsg=(?:"((?:[^"\\]|\\.)*)"|(\S+))/g)].map(([, quoted, bare]) => quoted ?? bare ?? ''))]
}

/** Steps that are said otherwise here, and why. */
const otherwise: Record<string, string | undefined> = {
  // The error itself, which says more, has the same message for every prober.
  'Error dialing TCP': 'Probe ended with an error',
  'Error for HTTP request': 'Probe ended with an error',
  // A redirect elsewhere gets the name of its own host.
  'Address does not match first address, not sending TLS ServerName': undefined,
}

test('a dialogue has the steps of the real blackbox_exporter, and ends with the same parts', async (t) => {
  const web = await serve(t, { '/': 'hello', '/broken': () => ({ status: 500, body: 'no' }) })
  const redirecting = await listen(t, (socket) =>
    socket.once('data', () => socket.end(`HTTP/1.1 302 Found\r\nLocation: ${web}/\r\nContent-Length: 0\r\n\r\n`)),
  )
  const smtp = await listen(t, (socket) => {
    socket.write('220 harbour\r\n')
    socket.on('data', () => socket.write('250 hello\r\n'))
  })
  const blackbox = await startBlackbox(t, modules)
  const allow = [{ hosts: ['localhost'], addresses: ['127.0.0.0/8'], ports: ['1-65535'] }]
  const { url } = await startEndpoint(t, { probe: { modules, allow } })
  const cases: [keyof typeof modules, string][] = [
    ['http_2xx', `${web}/`],
    ['http_2xx', `${web}/broken`],
    ['http_2xx', 'http://127.0.0.1:1/'],
    ['http_2xx', `http://127.0.0.1:${redirecting}/`],
    ['still', `http://127.0.0.1:${redirecting}/`],
    ['body', `${web}/`],
    ['no_body', `${web}/`],
    ['header', `${web}/`],
    ['tcp_connect', `127.0.0.1:${smtp}`],
    ['tcp_connect', '127.0.0.1:1'],
    ['banner', `127.0.0.1:${smtp}`],
  ]
  for (const [module, target] of cases) {
    const query = new URLSearchParams({ module, target, debug: 'true' })
    const [theirs, ours] = await Promise.all([blackbox.url, url].map(async (base) => (await fetch(`${base}/probe?${query}`)).text()))
    const said = stepsOf(theirs ?? '')
    // Of a request without an answer they say zeros.
    const wanted = said
      .filter((step) => step !== 'Response timings for roundtrip' || said.includes('Received HTTP response'))
      .flatMap((step) => (step in otherwise ? (otherwise[step] ?? []) : step))
    assert.ok(wanted.length > 3, theirs)
    const missing = wanted.filter((step) => !stepsOf(ours ?? '').includes(step))
    assert.deepEqual(missing, [], `${module} ${target}: ${stepsOf(ours ?? '').join(', ')}`)
    const titles = /^(Logs for the probe|Metrics that would have been returned|Module configuration):$/gm
    assert.deepEqual(ours?.match(titles), theirs?.match(titles))
  }
})
