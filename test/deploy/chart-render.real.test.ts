import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { parse } from 'yaml'
import { agentConfig } from '../../agent/config.ts'
import { readExposure, tunnelYaml } from '../../agent/tunnel/desired.ts'
import { tunnelOf } from '../../agent/tunnel/settings.ts'
import { monitorConfig } from '../../monitor/config.ts'
import { type ReadModules, readModules } from '../../monitor/probe/index.ts'
import { parseChecks } from '../../monitor/prober/config.ts'
import { systemFiles } from '../../shared/config/file.ts'
import { assertGolden } from '../agent/resources/golden.ts'
import { kubectl } from '../cluster/index.ts'
import { refusalOf } from './admission-policy.ts'
import { chart, helm, type Manifest, manifestsOf, template } from './helm.ts'
import { kustomizeFiles } from './rendered.ts'
import { restrictedFaults } from './restricted.ts'
import { type Shape, shapeNames, shapes } from './shapes.ts'

const rendered = Object.fromEntries(await Promise.all(shapeNames.map(async (name) => [name, await template(shapes[name])]))) as Record<
  Shape,
  Manifest[]
>

const find = (objects: Manifest[], kind: string, name: string): Manifest => {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name)
  assert.ok(found, `${kind} ${name} is rendered`)
  return found
}
const deployments = (shape: Shape) => rendered[shape].filter(({ kind }) => kind === 'Deployment')
const permissionKinds = ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding']

/** Without what is random, and without what deploy/crds and deploy/rbac hold already. */
function comparable(objects: Manifest[]): Manifest[] {
  return structuredClone(objects)
    .filter(
      ({ kind, metadata }) =>
        kind !== 'CustomResourceDefinition' && !(permissionKinds.includes(kind) && shipped.has(`${kind} ${metadata.name}`)),
    )
    .map((object) => {
      if (object.metadata.name === 'skerry-agent-tls' && object.kind === 'Secret') {
        object.metadata.annotations['skerry.dev/renew-after'] = 'a Unix time'
        for (const key of Object.keys(object.data)) object.data[key] = 'random'
      }
      const annotations = object.spec?.template?.metadata.annotations
      if (annotations?.['checksum/authority']) annotations['checksum/authority'] = 'random'
      return object
    })
}

const permissions = ['deploy/rbac/agent.yaml', 'deploy/rbac/monitor.yaml'].flatMap((file) => manifestsOf(readFileSync(file, 'utf8')))
const shipped = new Set(permissions.map(({ kind, metadata }) => `${kind} ${metadata.name}`))

test('helm lint finds nothing', async () => {
  const { stdout, stderr, code } = await helm(['lint', '--strict', chart], { values: shapes.tunnel })
  assert.equal(code, 0, stdout + stderr)
  assert.match(stdout, /1 chart\(s\) linted, 0 chart\(s\) failed/)
})

test('helm package takes the definitions and the permissions along', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-package-'))
  t.after(() => rm(folder, { recursive: true }))
  const { stdout, code, stderr } = await helm(['package', chart, '--destination', folder])
  assert.equal(code, 0, stderr)
  const file = stdout.trim().split(': ')[1] as string
  const { stdout: text } = await helm(['template', 'skerry', file, '--namespace', 'skerry'], { values: shapes.default })
  assert.deepEqual(
    manifestsOf(text)
      .map(({ kind }) => kind)
      .sort(),
    rendered.default.map(({ kind }) => kind).sort(),
  )
})

test('the agent may make volumes only where an import is allowed', async () => {
  const mayMake = (objects: Manifest[]) =>
    objects
      .flatMap(({ rules = [] }) => rules)
      .filter(({ resources, verbs }: Manifest) => resources?.includes('persistentvolumes') && verbs.includes('create'))
  for (const shape of shapeNames) assert.deepEqual(mayMake(rendered[shape]), [], shape)
  const allowed = await template({ ...shapes.default, agent: { import: { enabled: true } } })
  assert.equal(mayMake(allowed).length, 1)
  const { roleRef, subjects } = find(allowed, 'ClusterRoleBinding', 'skerry-agent-import')
  assert.equal(roleRef.name, find(allowed, 'ClusterRole', 'skerry-agent-import').metadata.name)
  assert.deepEqual(
    subjects.map(({ name }: Manifest) => name),
    ['skerry-agent'],
  )
})

for (const shape of shapeNames) {
  test(`${shape} is rendered as its golden file has it${shape === 'default' ? '' : ', as far as it is not as the default'}`, () => {
    const usual = comparable(rendered.default)
    const objects = comparable(rendered[shape])
    const isNew = (object: Manifest) => !usual.some((each) => isDeepStrictEqual(each, object))
    const named = ({ kind, metadata }: Manifest) => `${kind} ${metadata.name}`
    const without = usual.map(named).filter((name) => !objects.some((object) => named(object) === name))
    const others = shape === 'default' ? objects : [{ without }, ...objects.filter(isNew)]
    assertGolden(shape, others, import.meta.url)
  })

  test(`${shape} has configuration that the programs accept, and every file in it is mounted`, () => {
    for (const [program, schema] of Object.entries({ agent: agentConfig, monitor: monitorConfig })) {
      const map = rendered[shape].find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === `skerry-${program}`)
      if (map === undefined && shape === 'least' && program === 'monitor') continue
      const text = map.data[`${program}.yaml`]
      schema.parse(parse(text))
      const [container] = find(rendered[shape], 'Deployment', `skerry-${program}`).spec.template.spec.containers
      const mounts: string[] = container.volumeMounts.map(({ mountPath }: Manifest) => mountPath)
      for (const path of text.match(/\/(etc\/skerry|var)\/[^\s"]+/g) ?? [])
        assert.ok(
          mounts.some((mount) => path.startsWith(`${mount}/`)),
          `${path} is in one of ${mounts}`,
        )
      assert.deepEqual(container.args, ['--config', `/etc/skerry/${program}.yaml`])
    }
    const checks = rendered[shape].find(({ metadata }) => metadata.name === 'skerry-monitor-checks')
    if (checks) assert.ok('checks' in parseChecks(checks.data['checks.yaml'], { files: systemFiles }))
    const modules = checks?.data['modules.yaml']
    if (modules)
      assert.deepEqual(
        [...(readModules(modules) as ReadModules)].map(([name, module]) => [name, 'module' in module]),
        [['http_any', true]],
      )
  })

  test(`${shape} runs under the restricted Pod Security profile`, () => {
    for (const { metadata, spec } of deployments(shape)) assert.deepEqual(restrictedFaults(spec.template), [], metadata.name)
  })

  test(`${shape} uses no image that is not in images.yaml`, () => {
    const listed: string[] = parse(readFileSync('deploy/chart/images.yaml', 'utf8'))
    const allowed = shape === 'air-gapped' ? listed.map((image) => image.replace(/^[^/]+/, 'registry.site:5000')) : listed
    for (const { spec } of deployments(shape))
      for (const { image } of spec.template.spec.containers) assert.ok(allowed.includes(image), `${image} is in images.yaml`)
  })
}

test('images.yaml lists no image that nothing uses', () => {
  const used = shapeNames
    .filter((shape) => shape !== 'air-gapped')
    .flatMap((shape) => deployments(shape).map(({ spec }) => spec.template.spec.containers[0].image))
  assert.deepEqual(parse(readFileSync('deploy/chart/images.yaml', 'utf8')).sort(), [...new Set(used)].sort())
})

test('the profile is noticed to be left where the values ask for the network of the host', async () => {
  const objects = await template({ ...shapes.default, agent: { hostNetwork: true } })
  assert.deepEqual(restrictedFaults(find(objects, 'Deployment', 'skerry-agent').spec.template), ['hostNetwork'])
})

test('the permissions are those of deploy/rbac, bound in the namespace of the release', async () => {
  const { stdout } = await helm(['template', 'r', chart, '--namespace', 'elsewhere'], {
    values: { ...shapes.default, crateOperator: { namespace: 'operators', deployment: 'crate' } },
  })
  const objects = manifestsOf(stdout)
  for (const expected of permissions) {
    const { kind, metadata, rules, subjects, roleRef } = find(objects, expected.kind, expected.metadata.name)
    const moved = JSON.parse(
      JSON.stringify(expected).replaceAll('"namespace":"skerry"', '"namespace":"elsewhere"').replaceAll('["crate-operator"]', '["crate"]'),
    )
    assert.deepEqual(
      { kind, namespace: metadata.namespace, rules, subjects, roleRef },
      { kind, namespace: moved.metadata.namespace, rules: moved.rules, subjects: moved.subjects, roleRef: moved.roleRef },
    )
  }
  const others = objects.filter(({ kind, metadata }) => permissionKinds.includes(kind) && !shipped.has(`${kind} ${metadata.name}`))
  assert.deepEqual(
    others.map(({ kind, metadata, subjects }) => [kind, metadata.namespace, metadata.name, subjects]),
    [['RoleBinding', 'kube-system', 'skerry-agent-project', undefined]],
    'one that gives nothing to nobody, and closes a namespace to the agent',
  )
  assert.equal(JSON.stringify(objects.filter(({ kind }) => permissionKinds.includes(kind))).includes('"*"'), false)
})

test('the agent lets the monitor read passwords of databases only if a check asks databases', async () => {
  const isAllowed = async (monitor: object) => {
    const objects = await template({ ...shapes.default, monitor })
    return parse(find(objects, 'ConfigMap', 'skerry-agent').data['agent.yaml']).monitor.databasePasswords
  }
  assert.equal(await isAllowed({}), true)
  assert.equal(await isAllowed({ config: { discovery: { volumes: false } } }), true)
  assert.equal(await isAllowed({ config: { discovery: { databases: false, volumes: false } } }), false)
  assert.equal(await isAllowed({ enabled: false }), false)
})

test('the definitions are those of deploy/crds, and stay when the release goes', () => {
  for (const file of readdirSync('deploy/crds')) {
    const expected = parse(readFileSync(`deploy/crds/${file}`, 'utf8'))
    const { metadata, spec } = find(rendered.default, 'CustomResourceDefinition', expected.metadata.name)
    assert.deepEqual(spec, expected.spec)
    assert.equal(metadata.annotations['helm.sh/resource-policy'], 'keep')
  }
})

/** What the agent writes for cloudflared, made of the configuration that it is given. */
function tunnelYamlOf(shape: Shape): Manifest {
  const config = agentConfig.parse(parse(find(rendered[shape], 'ConfigMap', 'skerry-agent').data['agent.yaml']))
  assert.ok(config.tunnel)
  const tunnel = tunnelOf(config.tunnel, { region: config.region.id, namespace: config.cluster.namespace })
  return parse(tunnelYaml(tunnel, readExposure(tunnel, undefined)))
}

for (const shape of ['tunnel', 'air-gapped'] as const) {
  test(`${shape}: tunnel.yaml has each hostname once, its catch-all last, and leads only where the network policy lets it`, () => {
    const tunnel = tunnelYamlOf(shape)
    const rules: Manifest[] = tunnel.ingress.slice(0, -1)
    assert.deepEqual(tunnel.ingress.at(-1), { service: 'http_status:404' })
    const hostnames = rules.map(({ hostname }) => hostname)
    assert.ok(hostnames.every((hostname) => hostname))
    assert.equal(new Set(hostnames).size, hostnames.length)

    const { spec } = find(rendered[shape], 'NetworkPolicy', 'cloudflared')
    const agent = find(rendered[shape], 'Deployment', 'skerry-agent').spec.template.metadata.labels
    const reached = rules.map(({ service }) => {
      const [name, namespace] = new URL(service).hostname.split('.')
      return spec.egress.some(({ to = [], ports }: Manifest) =>
        to.some(({ podSelector, namespaceSelector }: Manifest) =>
          name === 'skerry-agent'
            ? podSelector !== undefined &&
              namespaceSelector === undefined &&
              Object.entries(podSelector.matchLabels).every(([key, value]) => agent[key] === value) &&
              ports.some(({ port }: Manifest) => port === 8443)
            : namespaceSelector?.matchLabels['kubernetes.io/metadata.name'] === namespace,
        ),
      )
    })
    assert.deepEqual(
      reached,
      rules.map(() => true),
    )
    // DNS, the edge, and one rule for each thing it leads to.
    assert.equal(spec.egress.length, rules.length + 2)
    assert.deepEqual(spec.policyTypes, ['Ingress', 'Egress'])

    const { spec: pod } = find(rendered[shape], 'Deployment', 'cloudflared').spec.template
    assert.equal(pod.automountServiceAccountToken, false)
    const { volumeMounts } = pod.containers[0]
    const mounts: string[] = volumeMounts.map(({ mountPath }: Manifest) => mountPath)
    for (const path of [tunnel['credentials-file'], tunnel.ingress[0].originRequest.caPool])
      assert.ok(
        mounts.some((mount) => path.startsWith(`${mount}/`)),
        `${path} is in one of ${mounts}`,
      )
    const mounted = pod.volumes.find(({ name }: Manifest) => name === 'origin').secret.items
    assert.deepEqual(mounted, [{ key: 'ca.crt', path: 'ca.crt' }], "the agent's key stays with the agent")
  })
}

test('the agent gets the cloud, and reaches it on its port; without one it tells no cloud anything', async () => {
  const configOf = (objects: Manifest[]) => agentConfig.parse(parse(find(objects, 'ConfigMap', 'skerry-agent').data['agent.yaml']))
  const { url, tags } = configOf(rendered.tunnel).cloud ?? {}
  assert.deepEqual([url, tags], ['https://cloud.example.org:9443', { site: 'quay' }])
  const ports = (objects: Manifest[]): number[] =>
    find(objects, 'NetworkPolicy', 'skerry-agent').spec.egress.flatMap(({ to, ports }: Manifest) =>
      to === undefined ? ports.map(({ port }: Manifest) => port) : [],
    )
  assert.ok(ports(rendered.tunnel).includes(9443))
  assert.equal(configOf(rendered.default).cloud, undefined)
  assert.ok(!ports(rendered.default).includes(9443))
  // install.sh sets it each time, so that no cloud of an earlier token stays.
  assert.equal(configOf(await template({ ...shapes.default, cloud: { url: '' } })).cloud, undefined)
})

test('the agent reaches the stores of backups on the ports on which its pods may', async () => {
  const objects = await template({ ...shapes.default, agent: { config: { databases: { egressPorts: [9000, 443] } } } })
  const { egress } = find(objects, 'NetworkPolicy', 'skerry-agent').spec
  const anywhere: number[] = egress.flatMap(({ to, ports }: Manifest) => (to === undefined ? ports.map(({ port }: Manifest) => port) : []))
  assert.deepEqual([anywhere.filter((port) => port === 9000).length, anywhere.filter((port) => port === 443).length], [1, 1])
})

test('the file of the region goes to a volume, and to the port of a bucket, where the values say so', async () => {
  const bucket = { bucket: 'regions', endpointUrl: 'http://minio.storage.svc:9001/s3', accessKeyIdFile: '/a', secretAccessKeyFile: '/b' }
  const nfs = { nfs: { server: 'nas.site', path: '/export' } }
  const objects = await template({ ...shapes.default, agent: { config: { recovery: { export: { bucket } } }, exportVolume: nfs } })
  const { recovery } = agentConfig.parse(parse(find(objects, 'ConfigMap', 'skerry-agent').data['agent.yaml']))
  assert.equal(recovery.export.file, '/var/lib/skerry/export/skerry-region.json')
  assert.equal(recovery.export.bucket?.bucket, 'regions')
  const pod = find(objects, 'Deployment', 'skerry-agent').spec.template.spec
  assert.deepEqual(
    pod.volumes.find(({ name }: Manifest) => name === 'export'),
    { name: 'export', ...nfs },
  )
  assert.deepEqual(
    pod.containers[0].volumeMounts.filter(({ name }: Manifest) => name === 'export'),
    [{ name: 'export', mountPath: '/var/lib/skerry/export' }],
  )
  const ports = find(objects, 'NetworkPolicy', 'skerry-agent').spec.egress.flatMap(({ to, ports }: Manifest) =>
    to === undefined ? ports : [],
  )
  assert.equal(ports.filter(({ port }: Manifest) => port === 9001).length, 1)
  const usual = find(rendered.default, 'Deployment', 'skerry-agent').spec.template.spec
  assert.ok(usual.volumes.every(({ name }: Manifest) => name !== 'export'))
})

test('the notes say how the region stands with its cloud, where it has one', async () => {
  const notes = async (shape: Shape) => {
    const { stdout, stderr, code } = await helm(['install', 'skerry', chart, '--namespace', 'skerry', '--dry-run=client'], {
      values: shapes[shape],
    })
    assert.equal(code, 0, stderr)
    return stdout.slice(stdout.indexOf('NOTES:'))
  }
  assert.match(
    await notes('tunnel'),
    /joins the cloud at https:\/\/cloud\.example\.org:9443\.[^\n]*\n\n {2}kubectl -n skerry get registrations -o wide\n/,
  )
  assert.doesNotMatch(await notes('default'), /registration/)
})

test('no rule of a network policy lets everybody in, not even when the values name nobody', async () => {
  const nobody = await template({ ...shapes.default, agent: { networkPolicy: { from: [] } }, prometheus: { namespaces: [] } })
  for (const { kind, metadata, spec } of [...nobody, ...shapeNames.flatMap((shape) => rendered[shape])])
    if (kind === 'NetworkPolicy')
      for (const { from, ports } of spec.ingress)
        assert.ok(from?.length > 0 && ports.length > 0, `${metadata.name}: ${JSON.stringify(from)}`)
})

test("pods are given more time to stop in than the programs' own grace", () => {
  for (const { metadata, spec } of deployments('tunnel')) {
    const [container] = spec.template.spec.containers
    const map = metadata.name === 'cloudflared' ? undefined : find(rendered.tunnel, 'ConfigMap', metadata.name)
    const { grace = tunnelYamlOf('tunnel')['grace-period'] } = map ? parse(Object.values<string>(map.data)[0] as string) : {}
    const drain = container.lifecycle?.preStop.sleep.seconds ?? 0
    assert.ok(spec.template.spec.terminationGracePeriodSeconds > drain + Number.parseInt(grace, 10), metadata.name)
  }
})

test('a cluster before 1.30 drains without a sleep of its own, and 1.20 has its disruption budgets in a beta', async () => {
  const old = await template(shapes.default, '1.20.2')
  const [container] = find(old, 'Deployment', 'skerry-agent').spec.template.spec.containers
  assert.deepEqual(container.lifecycle.preStop, { exec: { command: ['node', '-e', 'setTimeout(() => {}, 5000)'] } })
  assert.equal(find(old, 'PodDisruptionBudget', 'skerry-agent').apiVersion, 'policy/v1beta1')
  assert.equal(find(rendered.default, 'PodDisruptionBudget', 'skerry-agent').apiVersion, 'policy/v1')
})

test('pods are replaced when their configuration changes, and not when checks or tokens do: those are taken up', async () => {
  const template1 = find(rendered.default, 'Deployment', 'skerry-agent').spec.template
  const of = async (values: object) => {
    const objects = await template({ ...shapes.default, ...values })
    return ['skerry-agent', 'skerry-monitor'].map((name) => find(objects, 'Deployment', name).spec.template)
  }
  const [changed] = await of({ agent: { config: { log: { level: 'debug' } } } })
  assert.notDeepEqual(changed, template1)
  const [agent, monitor] = await of({ agent: { tokens: shapes.tunnel.agent.tokens }, monitor: { checks: shapes.mqtt.monitor.checks } })
  assert.deepEqual(agent, template1)
  assert.deepEqual(monitor, find(rendered.default, 'Deployment', 'skerry-monitor').spec.template)
})

const tunnel = shapes.tunnel.cloudflared
const basicAuth = { username: 'prometheus', passwordFile: '/etc/skerry/secrets/scrape/password' }
const tls = { certFile: '/etc/skerry/secrets/scrape/tls.crt', keyFile: '/etc/skerry/secrets/scrape/tls.key' }

test("the monitor's PodMonitor comes with what its protected port asks for, and no other one does", async () => {
  const given = {
    basicAuth: { username: { name: 'scrape', key: 'username' }, password: { name: 'scrape', key: 'password' } },
    tlsConfig: { ca: { secret: { name: 'scrape', key: 'ca.crt' } }, serverName: 'skerry-monitor' },
  }
  const monitor = { config: { metrics: { basicAuth, tls } } }
  const endpoints = async (values: object) =>
    Object.fromEntries(
      (await template({ ...shapes.default, ...values }))
        .filter(({ kind }) => kind === 'PodMonitor')
        .map(({ metadata, spec }) => [metadata.name, spec.podMetricsEndpoints[0]]),
    )
  const plain = { interval: '30s', honorLabels: true }
  assert.deepEqual(await endpoints({ monitor, prometheus: { podMonitors: { enabled: true, monitor: given } } }), {
    'skerry-agent': { ...plain, port: 'admin' },
    'skerry-monitor': { ...plain, port: 'metrics', scheme: 'https', ...given },
  })
  assert.deepEqual(await endpoints({ monitor }), {}, 'who scrapes otherwise needs none of it')
})

const refusals: { name: string; values: object; says: RegExp }[] = [
  { name: 'no region', values: {}, says: /region\.id is not set: what the cloud calls this region/ },
  { name: 'a region that is no name', values: { region: { id: 'Harbour 1' } }, says: /at '\/region\/id': 'Harbour 1' does not match/ },
  { name: 'an unknown value', values: { agent: { replica: 3 } }, says: /at '\/agent': additional properties 'replica' not allowed/ },
  { name: 'a text for a number', values: { agent: { replicas: 'two' } }, says: /at '\/agent\/replicas': got string, want integer/ },
  {
    name: "an unknown field of the agent's configuration",
    values: { agent: { config: { operations: { retain: '3d' } } } },
    says: /at '\/agent\/config\/operations': additional properties 'retain'/,
  },
  {
    name: 'a field that the chart sets itself',
    values: { agent: { config: { grace: '5s' } } },
    says: /at '\/agent\/config': additional properties 'grace'/,
  },
  {
    name: "an unknown field of the monitor's configuration",
    values: { monitor: { config: { sparkplugs: {} } } },
    says: /at '\/monitor\/config': additional properties 'sparkplugs'/,
  },
  {
    name: 'a kind of check that there is not',
    values: { monitor: { checks: { checks: [{ name: 'a', kind: 'htpp' }] } } },
    says: /at '\/monitor\/checks\/checks\/0\/kind': value must be one of/,
  },
  {
    name: 'a token in place of its hash',
    values: { agent: { tokens: { list: [{ name: 'cloud', sha256: 'secret', scopes: ['region:read'] }] } } },
    says: /at '\/agent\/tokens\/list\/0\/sha256': 'secret' does not match/,
  },
  {
    name: 'tokens twice',
    values: { agent: { tokens: { list: shapes.tunnel.agent.tokens.list, existingSecret: 'tokens' } } },
    says: /agent\.tokens\.list and agent\.tokens\.existingSecret cannot be combined/,
  },
  {
    name: 'a certificate that is nowhere',
    values: { agent: { tls: { mode: 'existingSecret' } } },
    says: /agent\.tls\.existingSecret is not set/,
  },
  {
    name: 'a variable that the boundary of the agent would not know',
    values: { agent: { env: [{ name: 'TZ' }, { name: 'SKERRY_AGENT__METADATA__LABELS', value: '["team"]' }] } },
    says: /agent\.env sets SKERRY_AGENT__METADATA__LABELS, .*set it in agent\.config/,
  },
  {
    name: 'a cloud with a path',
    values: { cloud: { url: 'https://cloud.example.org/regions' } },
    says: /at '\/cloud\/url': 'https:\/\/cloud\.example\.org\/regions' does not match/,
  },
  {
    name: 'the cloud in another place than its own',
    values: { agent: { config: { cloud: { url: 'https://cloud.example.org' } } } },
    says: /at '\/agent\/config\/cloud': additional properties 'url'/,
  },
  {
    name: 'settings of a link that leads nowhere',
    values: { agent: { config: { cloud: { heartbeat: '5m' } } } },
    says: /cloud\.url is not set, and agent\.config\.cloud has settings/,
  },
  { name: 'an ingress without a host', values: { agent: { ingress: { enabled: true } } }, says: /agent\.ingress\.host is not set/ },
  { name: 'a tunnel without an id', values: { cloudflared: { ...tunnel, tunnel: '' } }, says: /cloudflared\.tunnel is not set/ },
  {
    name: 'a tunnel without credentials',
    values: { cloudflared: { ...tunnel, credentials: {} } },
    says: /cloudflared\.credentials\.existingSecret is not set/,
  },
  {
    name: 'a tunnel without a hostname',
    values: { cloudflared: { ...tunnel, agent: {} } },
    says: /cloudflared\.agent\.hostname is not set/,
  },
  {
    name: "another region's Prometheus",
    values: { cloudflared: { ...tunnel, prometheus: { hostname: 'prometheus-harbour-2-x.example' } } },
    says: /must begin with prometheus-harbour-1-/,
  },
  {
    name: "a PodMonitor without the password of the monitor's metrics",
    values: { monitor: { config: { metrics: { basicAuth } } }, prometheus: { podMonitors: { enabled: true } } },
    says: /prometheus\.podMonitors\.monitor\.basicAuth is not set: .*Secret/,
  },
  {
    name: "a PodMonitor that does not know the certificate of the monitor's metrics",
    values: { monitor: { config: { metrics: { tls } } }, prometheus: { podMonitors: { enabled: true } } },
    says: /prometheus\.podMonitors\.monitor\.tlsConfig is not set: .*serverName/,
  },
  {
    name: 'two things under one hostname',
    values: { cloudflared: { ...tunnel, grafana: { enabled: true, hostname: tunnel.agent.hostname } } },
    says: /two things cannot have one hostname/,
  },
  {
    name: 'Grafana without a hostname',
    values: { cloudflared: { ...tunnel, grafana: { enabled: true } } },
    says: /cloudflared\.grafana\.hostname is not set/,
  },
]
for (const { name, values, says } of refusals) {
  test(`helm refuses ${name}`, async () => {
    const { code, stderr } = await helm(['template', 'skerry', chart], {
      values: name === 'no region' ? values : { ...shapes.default, ...values },
    })
    assert.notEqual(code, 0)
    assert.match(stderr, says)
  })
}

test('the boundary of the agent knows the names and the labels that are configured', async () => {
  const config = { metadata: { labels: ['team', 'example.org/'] }, monitor: { serviceAccount: 'lookout' }, lease: { name: 'wheel' } }
  const objects = await template({ ...shapes.default, agent: { config }, monitor: { config: { lease: { name: 'crow' } } } })
  const policy = find(objects, 'ValidatingAdmissionPolicy', 'skerry-agent-boundary')
  const username = 'system:serviceaccount:skerry:skerry-agent'
  const labelled = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'project-quay', labels: { team: 'tides', 'example.org/unit': 'a' } },
  }
  assert.equal(refusalOf(policy, { operation: 'CREATE', resource: 'namespaces', username, object: labelled }), undefined)
  const binding = (name: string) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'skerry-monitor-tide', namespace: 'project-quay' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'skerry-monitor-tide' },
    subjects: [{ kind: 'ServiceAccount', name, namespace: 'skerry' }],
  })
  const bound = (name: string) => refusalOf(policy, { operation: 'CREATE', resource: 'rolebindings', username, object: binding(name) })
  assert.equal(bound('lookout'), undefined)
  assert.match(bound('skerry-monitor') ?? 'passes', /^the agent binds only/)

  const leases = (program: string) =>
    find(objects, 'Role', program).rules.find(({ resources, resourceNames }: Manifest) => resources[0] === 'leases' && resourceNames)
  assert.deepEqual([leases('skerry-agent').resourceNames, leases('skerry-monitor').resourceNames], [['wheel'], ['crow']])
})

test('the base for kustomize is what the chart renders', async () => {
  const files = await kustomizeFiles()
  assert.deepEqual(
    readdirSync('deploy/kustomize/base')
      .map((name) => `deploy/kustomize/base/${name}`)
      .sort(),
    Object.keys(files).sort(),
  )
  for (const [path, text] of Object.entries(files)) assert.equal(readFileSync(path, 'utf8'), text, 'rewrite it with: npm run render')
})

test('the example for kustomize builds, and its configuration is accepted', async () => {
  const { stdout, stderr, code } = await kubectl('', 'kustomize', 'deploy/kustomize/example')
  assert.equal(code, 0, stderr)
  const objects = manifestsOf(stdout)
  for (const { kind, metadata, spec } of objects)
    if (kind === 'Deployment') {
      assert.deepEqual(restrictedFaults(spec.template), [])
      const [{ configMap }] = spec.template.spec.volumes.filter(({ name }: Manifest) => name === 'config')
      assert.notEqual(configMap.name, metadata.name, 'its name has a hash, so that pods are replaced')
      const [[file, text]] = Object.entries<string>(find(objects, 'ConfigMap', configMap.name).data) as [[string, string]]
      ;(file === 'agent.yaml' ? agentConfig : monitorConfig).parse(parse(text))
    }
})
