import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { stringify } from 'yaml'
import { createChartIndex } from '../../../agent/preflight/chart-index.ts'
import { askCharts } from '../../../agent/preflight/charts.ts'
import { type Component, parseComponents } from '../../../agent/preflight/components.ts'
import { hostsOf, lookOutside } from '../../../agent/preflight/outside.ts'
import type { ReachOptions } from '../../../agent/preflight/reach.ts'
import { type ChartFacts, imagesOf } from '../../../deploy/bootstrap/chart-facts.ts'
import { until } from '../../cluster/index.ts'
import { readContract } from '../../deploy/charts.ts'
import { certificate, outside, proxy, site } from './outside.ts'
import { fine } from './samples.ts'

/** A component of a list. */
function component(name: string, repository: string, { version = '1.2.3', chart = name } = {}): Component {
  const text = `${name}\n  chart ${chart}\n  repository ${repository}\n  version ${version}\n  namespace ${name}\n`
  return parseComponents(text).components[0] as Component
}

/** An index as helm writes it. */
function index(charts: Record<string, string[]>): string {
  const entries = Object.entries(charts).map(([name, versions]) => [
    name,
    versions.map((version) => ({
      apiVersion: 'v2',
      dependencies: [{ name: 'other', version: '9.9.9' }],
      description: 'Its changes:\n  version: 8.8.8\n- version: 7.7.7\n',
      urls: [`https://charts.example/${name}-${version}.tgz`],
      name,
      version,
    })),
  ])
  return stringify({ apiVersion: 'v1', entries: Object.fromEntries(entries), generated: '2026-11-28' }, { indentSeq: false })
}

async function outcomes(components: Component[], options: ReachOptions = {}): Promise<string[]> {
  const seen = await askCharts(components, { ca: certificate.ca, ...options })
  return seen.map(({ component, outcome, detail }) => `${component} ${outcome}${detail === '' ? '' : `: ${detail}`}`)
}

const answering = (text: string | Buffer, headers: Record<string, string> = {}): RequestListener => {
  return (_request, response) => response.writeHead(200, headers).end(text)
}

test('a chart is there in its version, with or without a v before it; one that is not is told with the newest', async (t) => {
  const at = await site(t, answering(index({ harbour: ['2.0.0', '1.2.3'], tide: ['v1.2.3'], ebb: ['2.0.0', '1.0.0'] })))
  assert.deepEqual(await outcomes(['harbour', 'tide', 'ebb', 'neap'].map((name) => component(name, `${at}/charts`))), [
    'harbour there',
    'tide there',
    'ebb no-version: no version 1.2.3 of ebb is in it; the newest is 2.0.0',
    'neap no-chart: no chart neap is in it',
  ])
})

test('the list is asked for below the address of the repository, once for all its charts', async (t) => {
  const asked: (string | undefined)[] = []
  const at = await site(t, ({ url }, response) => {
    asked.push(url)
    response.end(index({ tide: ['1.2.3'], ebb: ['1.2.3'] }))
  })
  assert.deepEqual(await outcomes([component('tide', `${at}/helm`), component('ebb', `${at}/helm`)]), ['tide there', 'ebb there'])
  assert.deepEqual(asked, ['/helm/index.yaml'])
})

for (const status of [404, 410]) {
  test(`a repository that answers ${status} is gone or has moved`, async (t) => {
    const at = await site(t, (_request, response) => response.writeHead(status).end('nothing'))
    assert.deepEqual(await outcomes([component('tide', at)]), [`tide no-repository: the repository is gone or has moved (${status})`])
  })
}

test('from a repository that is in trouble, from one that wants a password, and from one that breaks off, nothing follows', async (t) => {
  const ill = await site(t, (_request, response) => response.writeHead(503).end())
  const locked = await site(t, (_request, response) => response.writeHead(401).end())
  const broken = await site(t, (_request, response) => {
    response.writeHead(200, { 'content-length': '100000' }).write('apiVersion: v1\n', () => response.destroy())
  })
  assert.deepEqual(await outcomes([component('tide', ill), component('ebb', locked), component('neap', broken)]), [
    'tide unclear: it answers 503',
    'ebb unclear: it answers 401',
    'neap unclear: the answer breaks off (ECONNRESET)',
  ])
})

test('a page that asks for a login is no list of charts', async (t) => {
  const at = await site(t, answering('<html>\n<body>\n  entries: log in first\n</body>\n'))
  assert.deepEqual(await outcomes([component('tide', at)]), ['tide no-index: what answers is no list of charts'])
})

test('redirects are followed, by HTTPS alone and not for ever', async (t) => {
  const to = (location: string): RequestListener => {
    return (_request, response) => response.writeHead(302, { location }).end('over there')
  }
  const there = await site(t, answering(index({ tide: ['1.2.3'] })))
  const once = await site(t, to(`${there}/moved/index.yaml`))
  const plain = await site(t, to('http://charts.example/index.yaml'))
  const round = await site(t, to('/index.yaml'))
  const nowhere = await site(t, to('https://nowhere.invalid/index.yaml'))
  assert.deepEqual(await outcomes([once, plain, round, nowhere].map((at) => component('tide', at))), [
    'tide there',
    'tide unclear: it leads to http://charts.example, which is not HTTPS',
    'tide unclear: it leads on more than 5 times',
    'tide unreached: the name is not resolved (ENOTFOUND)',
  ])
})

test('a large list is read as it comes, packed, and no further than until everything is found', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`chart-${at}`, ['3.0.0', '2.0.0', '1.2.3']]))
  const packed = gzipSync(index({ tide: ['1.2.3'], ...many, last: ['1.2.3'] }))
  const encoding: unknown[] = []
  const at = await site(t, (request, response) => {
    encoding.push(request.headers['accept-encoding'])
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed)
  })
  assert.deepEqual(await outcomes([component('tide', at), component('last', at)]), ['tide there', 'last there'])
  assert.deepEqual(encoding, ['gzip'])

  let ended = false
  const endless = await site(t, (_request, response) => {
    const more = () => {
      while (!response.destroyed && response.write(`${'  # a line of a list that does not end\n'.repeat(100)}`));
    }
    response.on('drain', more).on('close', () => {
      ended = true
    })
    response.write(index({ tide: ['1.2.3'] }))
    more()
  })
  assert.deepEqual(await outcomes([component('tide', endless)]), ['tide there'])
  await until('the rest is not fetched', async () => ended)
})

test('a list that comes too slowly is given up at the time that was given', async (t) => {
  const at = await site(t, (_request, response) => void response.write('apiVersion: v1\n'))
  assert.deepEqual(await outcomes([component('tide', at)], { timeoutMs: 300 }), ['tide unclear: no whole answer within 0.3 s'])
})

test('the proxy of the site leads to repositories too', async (t) => {
  const { port, asked } = await proxy(t)
  const at = await site(t, answering(index({ tide: ['1.2.3'] })))
  assert.deepEqual(await outcomes([component('tide', at)], { proxy: `http://127.0.0.1:${port}` }), ['tide there'])
  assert.deepEqual(
    asked.map(({ path }) => `https://${path}`),
    [at],
  )
})

/** A registry that gives tokens to everybody, and has one chart. */
function registry(t: TestContext, seen: string[] = []): Promise<string> {
  return site(t, ({ url = '', headers }, response) => {
    seen.push(`${url} ${headers.authorization ?? ''}`.trim())
    const { pathname, searchParams } = new URL(url, 'https://registry.example')
    const challenge = `Bearer realm="https://${headers.host}/token",service="registry.example",scope="repository:x:pull"`
    if (pathname === '/token') return response.end(JSON.stringify({ token: `for-${searchParams.get('service')}` }))
    if (headers.authorization !== 'Bearer for-registry.example') return response.writeHead(401, { 'www-authenticate': challenge }).end()
    if (pathname === '/v2/charts/skerry/manifests/0.1.0_build.7') return response.end('{}')
    const code = pathname.startsWith('/v2/charts/skerry/') ? 'MANIFEST_UNKNOWN' : 'NAME_UNKNOWN'
    response.writeHead(404).end(JSON.stringify({ errors: [{ code }] }))
  })
}

test('a registry is asked for the chart with the token that it gives to everybody', async (t) => {
  const seen: string[] = []
  const at = (await registry(t, seen)).replace('https:', 'oci:')
  assert.deepEqual(await outcomes([component('skerry', `${at}/charts`, { version: '0.1.0+build.7' })]), ['skerry there'])
  assert.deepEqual(seen, [
    '/v2/charts/skerry/manifests/0.1.0_build.7',
    '/token?service=registry.example&scope=repository%3Ax%3Apull',
    '/v2/charts/skerry/manifests/0.1.0_build.7 Bearer for-registry.example',
  ])
  assert.deepEqual(await outcomes([component('skerry', `${at}/charts`), component('tide', `${at}/charts`)]), [
    'skerry no-version: no version 1.2.3 of skerry is in it',
    'tide no-chart: no chart tide is in it',
  ])
})

test('a registry that gives nobody a token says nothing of the chart', async (t) => {
  const at = await site(t, ({ url = '', headers }, response) => {
    const challenge = url.startsWith('/v2/basic/') ? 'Basic realm="site"' : `Bearer realm="https://${headers.host}/token"`
    response.writeHead(url.startsWith('/token') ? 403 : 401, { 'www-authenticate': challenge }).end()
  })
  const oci = at.replace('https:', 'oci:')
  assert.deepEqual(await outcomes([component('skerry', `${oci}/private`), component('tide', `${oci}/basic`)]), [
    'skerry unclear: it does not give the chart to everybody: its tokens answer 403',
    'tide unclear: it wants a user and a password',
  ])
})

test('repositories are asked whose host is reached, and no others, nor for charts that are at hand', async (t) => {
  const at = await site(t, (_request, response) => response.writeHead(404).end())
  const listed = [component('tide', at), component('ebb', 'https://nowhere.invalid'), component('neap', 'https://nobody.invalid')]
  const { reached, charts } = await lookOutside(listed, { ca: certificate.ca, atHand: ['neap'] })
  assert.deepEqual(
    reached.map(({ host, outcome }) => `${host} ${outcome}`),
    ['localhost reached', 'nowhere.invalid unresolved'],
  )
  assert.deepEqual(
    charts.map(({ component, outcome }) => `${component} ${outcome}`),
    ['tide no-repository'],
  )
})

test('a host that is no repository at all is told by how it was reached', async (t) => {
  const port = await outside(t)
  const [seen] = await askCharts([component('tide', `https://localhost:${port}`)])
  assert.equal(seen?.outcome, 'unreached')
  assert.match(seen?.detail ?? '', /certificate is not trusted/)
})

test('every host stands once, with all that is to be had there of what is to come', () => {
  const needed = { ...component('skerry', 'oci://ghcr.io/skerry-dev/charts'), role: 'needed' as const }
  const listed = [component('loki', 'https://charts.example/a'), component('grafana', 'https://charts.example:443/b'), needed]
  const hosts = hostsOf(listed, listed)
  assert.deepEqual(
    hosts.map(({ host, neededFor }) => `${host}: ${neededFor}`),
    [
      'charts.example: the charts of loki and grafana',
      'ghcr.io: the chart of skerry; images of skerry',
      'registry-1.docker.io: images of loki, grafana and skerry',
      'quay.io: images of grafana',
      'region1.v2.argotunnel.com: the tunnel to the cloud',
    ],
  )
  assert.deepEqual(
    hosts.flatMap(({ host, vital }) => (vital ? [host] : [])),
    ['ghcr.io'],
  )
  assert.deepEqual(
    hosts.flatMap(({ host, tls }) => (tls ? [] : [host])),
    ['region1.v2.argotunnel.com'],
  )
  const [cloud] = hostsOf([], [], { host: 'cloud.example.org', port: 8443, isPinned: true })
  assert.deepEqual(
    [cloud?.host, cloud?.port, cloud?.tls, cloud?.anyCertificate, cloud?.vital],
    ['cloud.example.org', 8443, true, true, false],
  )
})

test('images come from the hosts from which the charts are known to take them', async () => {
  const { charts } = await readContract()
  for (const each of fine.components) {
    const images = [...(charts[each.name] ? imagesOf(charts[each.name]?.pinned as ChartFacts) : []), ...each.image]
    const registries = new Set(images.map((image) => /^([^/]+\.[^/]+)\//.exec(image)?.[1] ?? 'docker.io'))
    const hosts = hostsOf([each], []).filter(({ neededFor }) => neededFor.startsWith('images of'))
    // Skerry's own chart has no facts: its images, and cloudflared's.
    const known = each.name === 'skerry' ? ['docker.io', 'ghcr.io'] : [...registries].sort()
    assert.deepEqual(hosts.map(({ host }) => host.replace('registry-1.', '')).sort(), known, each.name)
  }
})

/** Spellings of one and the same index. */
const spellings: Record<string, string> = {
  'as helm writes it': index({ ebb: ['2.0.0'], tide: ['3.0.0', '1.2.3'], zenith: ['4.0.0'] }),
  'with lists set in': stringify({
    apiVersion: 'v1',
    entries: { ebb: [{ version: '1.2.3' }], tide: [{ version: '3.0.0' }, { version: '1.2.3' }] },
  }),
  'with quotes, comments and the version first': `entries: # all of them
  "tide":
  # the newest
  - version: "3.0.0" # new
    name: tide
  -
    name: tide
    version: '1.2.3'
`,
  'with four blanks': 'entries:\n    tide:\n        -   name: tide\n            version: 3.0.0\n        -   version: 1.2.3\n',
  'with the lines of Windows': index({ tide: ['3.0.0', '1.2.3'] }).replaceAll('\n', '\r\n'),
  'as JSON': JSON.stringify({ apiVersion: 'v1', entries: { tide: [{ version: '3.0.0' }, { version: '1.2.3' }] } }),
}
for (const [name, text] of Object.entries(spellings)) {
  test(`a list of charts is read ${name}`, () => {
    const sought = ['1.2.3', '9.9.9', '8.8.8', '7.7.7'].map((version) => ({ chart: 'tide', version }))
    const read = createChartIndex([...sought, { chart: 'neap', version: '1.2.3' }])
    for (const line of text.split('\n')) read.line(line)
    assert.equal(read.isIndex, true)
    assert.deepEqual(
      sought.map(({ version }) => read.of('tide', version)),
      [true, false, false, false].map((version) => ({ version, newest: '3.0.0' })),
    )
    assert.deepEqual(read.of('neap', '1.2.3'), { version: false, newest: undefined })
  })
}
