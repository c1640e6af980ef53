import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import * as z from 'zod'
import { agentConfig } from '../../../agent/config.ts'
import {
  desiredTunnel,
  exposedBy,
  exposureConsequences,
  exposureWarnings,
  isSameTunnel,
  isTakenUp,
  nextRevision,
  readExposure,
  readTunnelYaml,
  settingsConfigMap,
  tunnelConfigMap,
  tunnelYaml,
} from '../../../agent/tunnel/desired.ts'
import { tunnelFaults, tunnelSection } from '../../../agent/tunnel/settings.ts'
import { assertGolden } from '../resources/golden.ts'
import { tunnelGiven as everything, tunnelFrom } from '../tunnel-sample.ts'

const { id } = everything
const tunnel = tunnelFrom()
const [open, closed] = [{ grafana: true }, { grafana: false }]

// What cloudflared itself refuses in a configuration (its ingress/ingress.go, validate): written down here a second time on purpose.
const rule = z
  .strictObject({
    hostname: z
      .string()
      .regex(/^[^:*]+$/, 'no port, no wildcard')
      .optional(),
    service: z.string(),
    originRequest: z.strictObject({ originServerName: z.string(), caPool: z.string().startsWith('/').optional() }).optional(),
  })
  .refine(({ service }) => {
    if (/^http_status:\d{3}$/.test(service)) return true
    const url = new URL(service)
    return ['http:', 'https:'].includes(url.protocol) && url.hostname !== '' && !service.slice(url.protocol.length + 2).includes('/')
  }, 'a service is a status, or a URL with a host and without a path')
const cloudflaredFile = z.strictObject({
  tunnel: z.uuid(),
  'credentials-file': z.string().startsWith('/'),
  metrics: z.string().regex(/^[\d.]+:\d+$/),
  'no-autoupdate': z.literal(true),
  protocol: z.enum(['auto', 'quic', 'http2']),
  'grace-period': z.string().regex(/^(\d+(ms|s|m|h))+$/),
  ingress: z
    .array(rule)
    .refine((rules) => rules.at(-1)?.hostname === undefined, 'the last rule fits everything')
    .refine((rules) => rules.slice(0, -1).every(({ hostname }) => hostname !== undefined), 'only the last rule fits everything')
    .refine((rules) => new Set(rules.map(({ hostname }) => hostname?.toLowerCase())).size === rules.length, 'each hostname once'),
})

const shapes = {
  'the agent alone': [{ id, hostname: 'harbour-1.example.org' }, closed],
  'everything configured': [everything, closed],
  'everything exposed': [everything, open],
  'names of their own': [
    {
      ...everything,
      domain: undefined,
      prometheus: { url: 'http://p:9090', hostname: 'p.example.org' },
      grafana: { url: 'https://g', hostname: 'g.example.org' },
    },
    open,
  ],
  'other ways to the edge': [{ ...everything, protocol: 'http2', gracePeriod: '1m30s', metrics: '127.0.0.1:0' }, open],
} as const
for (const [name, [given, expose]] of Object.entries(shapes)) {
  test(`cloudflared takes the configuration of ${name}`, () => {
    const parsed = cloudflaredFile.safeParse(parse(tunnelYaml(tunnelFrom(given), expose)))
    assert.ok(parsed.success, JSON.stringify(parsed.error?.issues))
  })
}

test('the configuration is as in the golden file, and read back from its ConfigMap it is what was wanted', () => {
  assertGolden('tunnel-everything', [desiredTunnel(tunnel, open)], import.meta.url)
  const written = tunnelConfigMap(tunnel, tunnelYaml(tunnel, open), { revision: '1-a', outdated: '' })
  assert.ok(isSameTunnel(readTunnelYaml(written), desiredTunnel(tunnel, open)))
})

test('a configuration that says the same in other words is left as it is', () => {
  // Written by somebody else, with comments and in another order.
  const rendered = `# made by helm
ingress:
  - hostname: harbour-1.example.org
    service: https://skerry-agent.skerry.svc:8443
    originRequest: { caPool: /etc/cloudflared/origin/ca.crt, originServerName: skerry-agent.skerry.svc }
  - hostname: prometheus-harbour-1.example.org
    service: "http://prometheus-operated.monitoring.svc:9090"
  - service: http_status:404
tunnel: ${id}
credentials-file: /etc/cloudflared/credentials/credentials.json
metrics: 0.0.0.0:2000
no-autoupdate: true
protocol: auto
grace-period: 30s
`
  assert.ok(isSameTunnel(parse(rendered), desiredTunnel(tunnel, closed)))
  assert.equal(isSameTunnel(parse(rendered.replace('0.0.0.0', '127.0.0.1')), desiredTunnel(tunnel, closed)), false)
})

test('Grafana is exposed only when switched on, and only where it is configured', () => {
  const names = (given: object, expose: typeof open) => exposedBy(tunnelFrom(given), expose).map(({ what }) => what)
  assert.deepEqual(names(everything, closed), ['agent', 'prometheus'])
  assert.deepEqual(names(everything, open), ['agent', 'prometheus', 'grafana'])
  assert.deepEqual(names({ ...everything, grafana: undefined }, open), ['agent', 'prometheus'])
  assert.deepEqual(names({ id, hostname: 'harbour-1.example.org' }, open), ['agent'])
})

test('what is to be exposed is what was asked for, else what is configured, and nothing where that cannot be read', () => {
  const usually = tunnelFrom({ ...everything, grafana: { ...everything.grafana, exposed: true } })
  const kept = (expose: string) => ({ ...settingsConfigMap(tunnel, open), data: { expose } })
  assert.deepEqual(readExposure(tunnel, undefined), closed)
  assert.deepEqual(readExposure(usually, undefined), open)
  assert.deepEqual(readExposure(usually, settingsConfigMap(usually, closed)), closed)
  assert.deepEqual(readExposure(tunnel, settingsConfigMap(tunnel, open)), open)
  assert.deepEqual(readExposure(tunnelFrom({ id, hostname: 'a.example.org' }), settingsConfigMap(tunnel, open)), closed)
  for (const text of ['', '{', '[]', 'null', '{"grafana":"yes"}', '{"grafana":true,"everything":true}'])
    assert.deepEqual(readExposure(usually, kept(text)), closed, text)
})

test('each writing has a revision of its own, though the same is written again', () => {
  const wanted = desiredTunnel(tunnel, open)
  const first = nextRevision(wanted, undefined, [undefined, undefined])
  assert.match(first, /^1-[0-9a-f]{12}$/)
  assert.equal(nextRevision(wanted, wanted, [first, undefined]), first.replace('1-', '2-'))
  assert.match(nextRevision(wanted, undefined, [undefined, '11-aaaaaaaaaaaa']), /^12-/) // the ConfigMap was deleted, the pods remember
  assert.match(nextRevision(wanted, undefined, ['nonsense', '']), /^1-/)
  assert.notEqual(first, nextRevision(desiredTunnel(tunnel, closed), undefined, []))
})

test('pods are replaced unless they can only have started with what is written', () => {
  const wanted = desiredTunnel(tunnel, open)
  const first = nextRevision(wanted, undefined, [])
  assert.equal(isTakenUp(first, undefined), true, 'they waited for the first writing')
  assert.equal(isTakenUp(nextRevision(wanted, desiredTunnel(tunnel, closed), []), undefined), false, 'something else stood there before')
  assert.equal(isTakenUp(nextRevision(wanted, wanted, [first]), undefined), false)
  assert.equal(isTakenUp('2-a', '2-a'), true)
  assert.equal(isTakenUp('3-a', '2-a'), false)
  assert.equal(isTakenUp(undefined, undefined), true, 'what was installed is right')
})

test('what is exposed is warned of, and a change says what it means', () => {
  assert.deepEqual(exposureWarnings(exposedBy(tunnelFrom({ id, hostname: 'a.example.org' }), closed)), [])
  const warnings = exposureWarnings(exposedBy(tunnel, open))
  assert.match(warnings[0] ?? '', /^Prometheus is reachable .* https:\/\/prometheus-harbour-1\.example\.org; it has no login/)
  assert.match(warnings[1] ?? '', /^Grafana is reachable .* https:\/\/grafana-harbour-1\.example\.org/)
  assert.match(exposureConsequences(tunnel, closed, open)[0] ?? '', /^Grafana becomes reachable from the internet at https:\/\/grafana-/)
  assert.match(exposureConsequences(tunnel, open, closed)[0] ?? '', /^Grafana is no longer reachable/)
  assert.deepEqual(exposureConsequences(tunnel, open, open), [])
})

const refused = [
  { name: 'an id that is none', given: { id: 'my-tunnel' }, message: /must be the id of a tunnel/ },
  { name: 'a hostname with a port', given: { hostname: 'harbour-1.example.org:443' }, message: /must be a full host name/ },
  { name: 'a hostname with a wildcard', given: { hostname: '*.example.org' }, message: /must be a full host name/ },
  { name: 'a service with a path', given: { grafana: { url: 'http://grafana/d' } }, message: /nothing else/ },
  { name: 'a service that ends in a slash', given: { grafana: { url: 'http://grafana/' } }, message: /nothing else/ },
  { name: 'a service with a password', given: { grafana: { url: 'http://a:b@grafana' } }, message: /nothing else/ },
  { name: 'a service of another protocol', given: { grafana: { url: 'ssh://grafana:22' } }, message: /must be http/ },
  { name: 'an agent without TLS', given: { agent: { url: 'http://agent:8080' } }, message: /must be https/ },
]
for (const { name, given, message } of refused) {
  test(`the configuration refuses ${name}`, () => {
    const parsed = tunnelSection.safeParse({ ...everything, ...given })
    assert.match(parsed.error?.issues[0]?.message ?? 'nothing', message)
  })
}

test('the configuration refuses names that are missing, too long or given twice', () => {
  const faults = (given: object, region = 'harbour-1') => tunnelFaults(tunnelSection.parse({ ...everything, ...given }), region)
  assert.deepEqual(faults({}), [])
  assert.deepEqual(faults({ domain: undefined }), [
    { path: ['tunnel', 'prometheus', 'hostname'], message: 'is required where there is no tunnel.domain' },
    { path: ['tunnel', 'grafana', 'hostname'], message: 'is required where there is no tunnel.domain' },
  ])
  assert.deepEqual(faults({ hostname: 'grafana-harbour-1.example.org' }), [
    { path: ['tunnel', 'grafana', 'hostname'], message: 'is grafana-harbour-1.example.org, which tunnel.hostname is already' },
  ])
  assert.match(faults({}, 'h'.repeat(60))[0]?.message ?? '', /must be a full host name/)
})

test("the agent's configuration names such a fault by its place", () => {
  const config = {
    region: { id: 'harbour-1' },
    api: { tls: { certFile: 'tls.crt', keyFile: 'tls.key' } },
    tunnel: { ...everything, prometheus: { ...everything.prometheus, hostname: 'harbour-1.example.org' } },
  }
  assert.deepEqual(
    agentConfig.safeParse(config).error?.issues.map(({ path, message }) => `${path.join('.')} ${message}`),
    ['tunnel.prometheus.hostname is harbour-1.example.org, which tunnel.hostname is already'],
  )
  assert.equal(agentConfig.parse({ ...config, tunnel: undefined }).tunnel, undefined)
  assert.equal(agentConfig.parse({ ...config, tunnel: everything }).tunnel?.deployment, 'cloudflared')
})
