import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { parse, stringify } from 'yaml'
import type { Contract } from '../../deploy/bootstrap/chart-contract.ts'
import { installedTool } from '../cluster/index.ts'
import { bootstrap, packCharts, readComponents } from './bootstrap.ts'
import { helm } from './helm.ts'

// The stand-in charts in repositories of their own on loopback, where everything can be otherwise than it was.

const folder = await mkdtemp(join(tmpdir(), 'skerry-check-charts-test-'))
const components = (await readComponents()).filter(({ name }) => name !== 'skerry')
const charts = await packCharts(folder)
const tools = join(folder, 'bin')
await mkdir(tools)
await symlink(await installedTool('helm'), join(tools, 'helm'))

/** What the repositories answer to a path instead of a file of theirs. */
const answers = new Map<string, (...args: Parameters<RequestListener>) => void>()
const served = join(folder, 'served')
const asked: string[] = []
const server = createServer(async (request, response) => {
  // A proxy is asked for the whole address.
  const path = new URL(request.url ?? '/', 'http://charts.example').pathname
  asked.push(path)
  const answer = answers.get(path)
  if (answer) return answer(request, response)
  const file = await readFile(join(served, path)).catch(() => undefined)
  response.writeHead(file ? 200 : 404).end(file)
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
after(async () => {
  server.closeAllConnections()
  server.close()
  await rm(folder, { recursive: true, force: true })
})

const list = join(folder, 'components')
let name = ''
const lines = (await readFile(`${bootstrap}/components`, 'utf8')).split('\n').map((line) => {
  if (/^[a-z]/.test(line)) name = line
  return line.replace(/^( +repository +)https:.*/, `$1${base}/${name}`)
})
await writeFile(list, lines.join('\n'))

const values = join(folder, 'values')
await mkdir(values)
const given = {
  'cert-manager': { crds: { enabled: true } },
  flux: { crds: { annotations: { 'helm.sh/resource-policy': 'keep' } } },
  grafana: { persistence: { enabled: true }, deploymentStrategy: { type: 'Recreate' } },
}
for (const [component, each] of Object.entries(given)) await writeFile(join(values, `${component}.yaml`), stringify(each))

async function serve(component: string, packed = charts): Promise<void> {
  const { chart, version } = components.find((each) => each.name === component) ?? assert.fail(component)
  await rm(join(served, component), { recursive: true, force: true })
  await mkdir(join(served, component), { recursive: true })
  await cp(join(packed, `${chart}-${version}.tgz`), join(served, component, `${chart}-${version}.tgz`))
  await helm(['repo', 'index', join(served, component), '--url', `${base}/${component}`])
}

type Outcome = { code: number; out: string; err: string }

function run(args: string[], path = `${tools}:/usr/bin:/bin`, more: Record<string, string> = {}): Promise<Outcome> {
  const known = ['--components', list, '--values', values]
  return new Promise((resolve) => {
    const command = [join(bootstrap, 'check-charts.ts'), ...(args.includes('--components') ? [] : known), ...args]
    execFile(process.execPath, command, { env: { PATH: path, HOME: folder, ...more } }, (error, out, err) =>
      resolve({ code: error ? Number(error.code) : 0, out, err }),
    )
  })
}

for (const { name: each } of components) await serve(each)
const contract = join(folder, 'contract.json')
const first = await run(['--write', contract])
const check = (...args: string[]) => run(['--contract', contract, ...args])
beforeEach(() => answers.clear())

test('what was written down is what is found the next time, and nothing is wrong', async () => {
  assert.match(first.out, /^Written to /m, first.err)
  asked.length = 0
  const { code, out, err } = await check()
  assert.equal(code, 0, out + err)
  assert.match(out, /^cert-manager: cert-manager v[\d.]+ of http:\/\/127\.0\.0\.1:\d+\/cert-manager\n/)
  assert.match(out, /\n0 faults, 0 changes, 0 newer versions\.\n$/)
  for (const { name: each } of components) assert.ok(asked.includes(`/${each}/index.yaml`), each)
})

test('the charts of a folder are taken as they are, and nobody is asked', async () => {
  asked.length = 0
  const { code, out } = await check('--offline', charts)
  assert.equal(code, 0, out)
  assert.deepEqual(asked, [])
  const lacking = await check('--offline', values, '--only', 'loki')
  assert.equal(lacking.code, 1)
  assert.match(lacking.out, /FAULT {4}.*loki-.*\.tgz/)
})

const answer: { name: string; answers: Record<string, RequestListener>; says: RegExp }[] = [
  {
    name: 'a repository that has moved',
    answers: {
      '/loki/index.yaml': (_, response) => response.writeHead(301, { location: '/elsewhere/index.yaml' }).end(),
      '/elsewhere/index.yaml': async (_, response) => response.end(await readFile(join(served, 'loki/index.yaml'))),
    },
    says: /^loki: .*\n {2}FAULT {4}the repository has moved to http:\/\/127\.0\.0\.1:\d+\/elsewhere$/m,
  },
  {
    name: 'a repository that is gone',
    answers: { '/loki/index.yaml': (_, response) => response.writeHead(404).end() },
    says: /^ {2}FAULT {4}it is gone or has moved: http:\/\/.*\/loki\/index\.yaml answers 404$/m,
  },
  {
    name: 'a repository that asks for a login',
    answers: { '/loki/index.yaml': (_, response) => response.writeHead(401).end() },
    says: /^ {2}FAULT {4}it does not answer with an index: .* answers 401$/m,
  },
  {
    name: 'a repository that breaks off',
    answers: { '/loki/index.yaml': (request) => request.socket.destroy() },
    says: /^ {2}FAULT {4}it does not answer: /m,
  },
  {
    name: 'a repository that leads in circles',
    answers: { '/loki/index.yaml': (_, response) => response.writeHead(302, { location: '/loki/index.yaml' }).end() },
    says: /^ {2}FAULT {4}it redirects more than 5 times/m,
  },
  {
    name: 'a page instead of an index',
    answers: { '/loki/index.yaml': (_, response) => response.end('<html><body>Welcome</body></html>') },
    says: /^ {2}FAULT {4}there is no chart loki in it$/m,
  },
]
for (const { name: what, answers: those, says } of answer)
  test(`${what} is named, and the next is looked at all the same`, async () => {
    for (const [path, each] of Object.entries(those)) answers.set(path, each)
    const { code, out } = await check('--only', 'loki', '--only', 'alloy')
    assert.equal(code, 1, out)
    assert.match(out, says)
    assert.match(out, /^alloy: .*\n1 fault, 0 changes, 0 newer versions\.$/m)
  })

/** Changes the index of a component. @param isJson helm can write it as JSON, too */
async function withIndex(component: string, change: (entries: { version: string; deprecated?: boolean }[]) => object[], isJson = false) {
  const index = parse(await readFile(join(served, component, 'index.yaml'), 'utf8'))
  const [chart = ''] = Object.keys(index.entries)
  const entries = { other: index.entries[chart], ...index.entries, [chart]: change(index.entries[chart]) }
  const text = isJson
    ? JSON.stringify({ ...index, entries })
    : stringify({ ...index, entries }, { indentSeq: false, aliasDuplicateObjects: false })
  answers.set(`/${component}/index.yaml`, (_, response) => response.end(text))
}

for (const isJson of [false, true])
  test(`a newer version is named, and is no fault${isJson ? ', in an index of JSON' : ''}`, async () => {
    const newer = ['99.0.0', '99.1.0-rc.1', '98.20.0', '0.1.0']
    await withIndex('loki', (entries) => [...newer.map((version) => ({ ...entries[0], version })), ...entries], isJson)
    const { code, out } = await check('--only', 'loki')
    assert.equal(code, 0, out)
    assert.match(out, /^ {2}NEWER {4}99\.0\.0\n0 faults, 0 changes, 1 newer version\.$/m)
  })

test('a version that was taken back is named, and one that is deprecated', async () => {
  await withIndex('loki', (entries) => entries.map((each) => ({ ...each, version: '99.0.0' })))
  assert.match((await check('--only', 'loki')).out, /^ {2}FAULT {4}version [\d.]+ is not in it, the newest is 99\.0\.0$/m)
  await withIndex('loki', (entries) => entries.map((each) => ({ ...each, deprecated: true })))
  assert.match((await check('--only', 'loki')).out, /^ {2}FAULT {4}the chart loki is deprecated$/m)
})

/** Serves the chart of a component with a text of its templates replaced. */
async function serveChanged(component: string, from: string | RegExp, to: string): Promise<void> {
  const source = join(folder, 'changed', component)
  await rm(source, { recursive: true, force: true })
  await cp(join(folder, 'sources', component), source, { recursive: true })
  let replaced = false
  for (const file of await readdir(join(source, 'templates'))) {
    const path = join(source, 'templates', file)
    const text = await readFile(path, 'utf8')
    replaced ||= text.replace(from, to) !== text
    await writeFile(path, text.replaceAll(typeof from === 'string' ? from : new RegExp(from, 'g'), to))
  }
  assert.ok(replaced, 'the chart is another one')
  await helm(['package', source, '--destination', join(folder, 'changed')])
  await serve(component, join(folder, 'changed'))
}

const changes: { name: string; component: string; from: string | RegExp; to: string; says: RegExp[] }[] = [
  {
    name: 'a workload that is called something else',
    component: 'sealed-secrets',
    from: '  name: sealed-secrets\n  labels',
    to: '  name: sealed-secrets-controller\n  labels',
    says: [
      /FAULT {4}wait deployment\/sealed-secrets: the chart has no such workload/,
      /CHANGED {2}Deployment\/sealed-secrets is gone/,
      /CHANGED {2}Deployment\/sealed-secrets-controller is new/,
    ],
  },
  {
    name: 'a label by which it was found',
    component: 'loki',
    from: 'app.kubernetes.io/name: loki',
    to: 'app.kubernetes.io/name: logs',
    says: [
      /FAULT {4}present statefulsets:app\.kubernetes\.io\/name=loki: it does not find the chart's own/,
      /CHANGED {2}StatefulSet\/loki label app\.kubernetes\.io\/name is logs, and was loki/,
    ],
  },
  {
    name: 'definitions that are not kept any more',
    component: 'cert-manager',
    from: 'helm.sh/resource-policy: keep',
    to: '',
    says: [
      /FAULT {4}definition certificates\.cert-manager\.io is deleted with the chart, with all its objects/,
      /CHANGED {2}CustomResourceDefinition\/certificates\.cert-manager\.io is among the templates, not kept, and was among the templates, kept/,
    ],
  },
  {
    name: 'an image',
    component: 'alloy',
    from: /grafana\/alloy:v[\d.]+/,
    to: 'grafana/alloy:v99.0.0',
    says: [/CHANGED {2}image docker\.io\/grafana\/alloy:v99\.0\.0 is new/, /CHANGED {2}image docker\.io\/grafana\/alloy:v1\S+ is gone/],
  },
  {
    name: 'an image in an argument',
    component: 'cert-manager',
    from: /(solver-image=quay\.io\/jetstack\/cert-manager-acmesolver):v[\d.]+/,
    to: '$1:v99.0.0',
    says: [/CHANGED {2}image quay\.io\/jetstack\/cert-manager-acmesolver:v99\.0\.0 is new/],
  },
  {
    name: 'a chart that cannot be rendered with our values',
    component: 'flux',
    from: /^/,
    to: '{{ fail "the tide is out" }}',
    says: [/FAULT {4}.*the tide is out/],
  },
]
for (const { name: what, component, from, to, says } of changes)
  test(`what is otherwise is told: ${what}`, async () => {
    await serveChanged(component, from, to)
    const { code, out } = await check('--only', component)
    assert.equal(code, 1, out)
    for (const each of says) assert.match(out, each)
    await serve(component)
  })

test('a Service that values name and no chart has is told', async () => {
  const wrong = join(folder, 'wrong-values')
  await cp(values, wrong, { recursive: true })
  await writeFile(join(wrong, 'alloy.yaml'), stringify({ url: 'http://loki-gateway.monitoring.svc:80' }))
  const { code, out } = await run(['--components', list, '--values', wrong, '--contract', contract, '--only', 'sealed-secrets'])
  assert.equal(code, 1)
  assert.match(out, /^FAULT {4}.*alloy\.yaml: no chart has the Service loki-gateway in monitoring with port 80$/m)
})

test('what is written down has what it was before, and leaves alone what could not be seen', async () => {
  const was: Contract = JSON.parse(await readFile(contract, 'utf8'))
  const [loki, alloy] = [was.charts.loki, was.charts.alloy]
  assert.ok(loki && alloy)
  loki.pinned.version = '0.1.0'
  const older = join(folder, 'older.json')
  await writeFile(older, JSON.stringify(was))
  answers.set('/alloy/index.yaml', (_, response) => response.writeHead(404).end())
  const next = join(folder, 'next.json')
  const { code, out } = await run(['--contract', older, '--only', 'loki', '--only', 'alloy', '--write', next])
  assert.equal(code, 1)
  assert.match(out, /CHANGED {2}the version of the chart is [\d.]+, and was 0\.1\.0/)
  const is: Contract = JSON.parse(await readFile(next, 'utf8'))
  assert.equal(is.charts.loki?.before.version, '0.1.0')
  assert.notEqual(is.charts.loki?.pinned.version, '0.1.0')
  assert.deepEqual([is.charts.alloy, is.charts.flux, is.beyond], [alloy, was.charts.flux, was.beyond])
  assert.match(is.date, /^20\d\d-\d\d-\d\d$/)
})

test('behind a proxy, it and helm ask the proxy', async () => {
  const behind = join(folder, 'components-behind')
  await writeFile(behind, (await readFile(list, 'utf8')).replaceAll(base, 'http://charts.example'))
  server.on('connect', (_, socket) => {
    const { port } = server.address() as AddressInfo
    const inner = connect(port, '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'))
    socket.pipe(inner).pipe(socket)
    for (const each of [socket, inner]) each.on('error', () => {})
  })
  const index = await readFile(join(served, 'loki/index.yaml'), 'utf8')
  answers.set('/loki/index.yaml', (_, response) => response.end(index.replaceAll(base, 'http://charts.example')))
  asked.length = 0
  const { scripts } = JSON.parse(await readFile('package.json', 'utf8'))
  const [, variable = ''] = /^(\w+)=1 node deploy\/bootstrap\/check-charts\.ts$/.exec(scripts['check:charts']) ?? []
  const args = ['--components', behind, '--values', values, '--contract', contract, '--only', 'loki']
  const { code, out, err } = await run(args, undefined, { HTTP_PROXY: base, [variable]: '1' })
  assert.equal(code, 0, out + err)
  assert.deepEqual(asked.slice(0, 1), ['/loki/index.yaml'])
  assert.ok(asked.some((path) => path.endsWith('.tgz')))
})

test('what it is called with is explained, and what is wrong in that is said', async () => {
  const help = await run(['--help'])
  assert.deepEqual([help.code, help.err], [0, ''])
  assert.match(help.out, /^npm run check:charts[\s\S]*--offline DIR/)
  for (const [args, says] of [
    [['--fast'], /check-charts: Unknown option '--fast'/],
    [['--only', 'postgres'], /check-charts: unknown component postgres; there are cert-manager/],
    [['--contract', '/nowhere.json'], /check-charts: ENOENT.*nowhere\.json/],
    [['--components', '/nowhere'], /check-charts: ENOENT.*nowhere/],
  ] as const) {
    const { code, err } = await run([...args])
    assert.equal(code, 2, err)
    assert.match(err, says)
  }
  const { code, err } = await run(['--only', 'loki'], '/nowhere')
  assert.equal(code, 2)
  assert.match(err, /check-charts: helm is not installed; get it here: https:\/\/helm\.sh/)
})
