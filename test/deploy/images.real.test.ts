import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { parse, stringify } from 'yaml'
import { installedTool } from '../cluster/index.ts'
import { bootstrap, readComponents } from './bootstrap.ts'

// The list of images, as `install.sh --images` makes it: images.sh in sh, with the real helm and charts that are written here.

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'skerry-images-'))
  await mkdir(join(folder, 'bin'))
  await symlink(await installedTool('helm'), join(folder, 'bin/helm'))
})
after(() => rm(folder, { recursive: true, force: true }))

/** What install.sh gives to images.sh, without a cluster. */
const harness = `
set -eu
root=$1
here=$root/bootstrap scratch=$root/scratch components=$root/bootstrap/components
. "$here/common.sh"
. "$here/images.sh"
wanted() { [ "$1" != "\${unwanted:-}" ]; }
get_chart() { chart_file=$root/charts/$chart; [ "$name" != skerry ] || chart_file=$skerry; }
left_out() { printf '%s: %s\\n' "$1" "$2" >&2; }
component_rows "$components" >"$scratch/rows"
list_images
`

type Given = {
  /** The list of components. */
  components?: string
  /** Files of charts, by their path: CHART/templates/a.yaml. A Chart.yaml is added. */
  charts?: Record<string, string>
  /** Files of values beside the scripts. */
  values?: Record<string, string>
  env?: Record<string, string>
  skerry?: string
}

async function listImages(given: Given): Promise<{ images: string[]; said: string; code: number }> {
  const root = await mkdtemp(join(folder, 'list-'))
  const write = async (path: string, text: string) => {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  await mkdir(join(root, 'scratch'))
  for (const script of ['common.sh', 'images.sh']) await cp(join(bootstrap, script), join(root, 'bootstrap', script))
  await write('bootstrap/components', given.components ?? stanza('thing'))
  for (const [name, text] of Object.entries(given.values ?? {})) await write(`bootstrap/values/${name}.yaml`, text)
  for (const [path, text] of Object.entries(given.charts ?? {})) {
    const [chart = ''] = path.split('/')
    await write(`charts/${chart}/Chart.yaml`, stringify({ apiVersion: 'v2', name: chart, version: '1.0.0' }))
    await write(`charts/${path}`, text)
  }
  await write('list.sh', harness)
  const env = {
    PATH: `${folder}/bin:/usr/bin:/bin`,
    HOME: root,
    skerry: given.skerry ?? '',
    value_files: '',
    cratedb_versions: '',
    ...given.env,
  }
  return new Promise((resolve) => {
    execFile('sh', [join(root, 'list.sh'), root], { env }, (error, stdout, stderr) =>
      resolve({ images: stdout.split('\n').filter((line) => line !== ''), said: stderr, code: error ? Number(error.code) : 0 }),
    )
  })
}

function stanza(name: string, more = ''): string {
  return `${name}\n  chart ${name}\n  repository https://charts.example\n  version 1.0.0\n  namespace ${name}\n${more}\n`
}

/** A manifest of a kind, with these lines in its spec. */
const manifest = (kind: string, lines: string, hook = 'none') =>
  `apiVersion: example/v1\nkind: ${kind}\nmetadata: { name: a, annotations: { helm.sh/${hook === 'none' ? 'none' : 'hook'}: ${hook} } }\nspec:\n${lines}\n`
const digest = `sha256:${'0a'.repeat(32)}`

const places: { name: string; manifest: string; images: string[] }[] = [
  { name: 'of a container', manifest: manifest('Deployment', '  image: quay.io/a/b:1'), images: ['quay.io/a/b:1'] },
  { name: 'first in an item', manifest: manifest('Job', '  - image: "quay.io/a/b:1"'), images: ['quay.io/a/b:1'] },
  {
    name: 'of an init container, in flow style',
    manifest: manifest('Pod', "  initContainers: [{ name: a, image: 'quay.io/a/b:1' }, {image: ghcr.io/c:2}]"),
    images: ['ghcr.io/c:2', 'quay.io/a/b:1'],
  },
  {
    name: 'in JSON',
    manifest: manifest('Pod', '  containers: [{"name":"a","image":"quay.io/a/b:1","args":["-x"]}]'),
    images: ['quay.io/a/b:1'],
  },
  { name: 'of an object of another kind', manifest: manifest('Alertmanager', '  image: "quay.io/p/am:v1"'), images: ['quay.io/p/am:v1'] },
  {
    name: 'of a hook',
    manifest: manifest('Job', '  image: ghcr.io/flux-cli:v2', 'pre-upgrade'),
    images: ['ghcr.io/flux-cli:v2'],
  },
  { name: 'but not of a test', manifest: manifest('Pod', '  image: bats:v1', 'test'), images: [] },
  {
    name: 'in an argument',
    manifest: manifest(
      'Deployment',
      '  args:\n    - --acme-http01-solver-image=quay.io/a/solver:v1\n    - --reload-url=http://localhost:1/-/x',
    ),
    images: ['quay.io/a/solver:v1'],
  },
  {
    name: 'in an argument that does not say that it is one',
    manifest: manifest('Deployment', '  args: ["--config-reloader=quay.io/o/reloader:v1", "--service=kube-system/kubelet"]'),
    images: ['quay.io/o/reloader:v1'],
  },
  {
    name: 'without a registry, in an argument that says that it is one',
    manifest: manifest('Deployment', '  args:\n    - "--default-base-image=thanos:v1"\n    - --level=debug:v1'),
    images: ['docker.io/library/thanos:v1'],
  },
  {
    name: 'behind an argument',
    manifest: manifest('Deployment', '  args:\n    - --sidecar\n    - quay.io/a/sidecar:v1'),
    images: ['quay.io/a/sidecar:v1'],
  },
  {
    name: 'in a variable',
    manifest: manifest(
      'Deployment',
      '  env:\n    - name: SQL_EXPORTER_IMAGE\n      value: a/exporter:1\n    - name: OTHER\n      value: a/b:1',
    ),
    images: ['docker.io/a/exporter:1'],
  },
  {
    name: 'in a variable, in flow style',
    manifest: manifest('Deployment', '  env: [{ name: BACKUP_IMAGE, value: "a/backup:1" }]'),
    images: ['docker.io/a/backup:1'],
  },
  {
    name: 'with registry, port, tag and digest',
    manifest: manifest('Pod', `  a: [{ image: site:5000/a/b:1 }, { image: "quay.io/a/b:1@${digest}" }, { image: a@${digest} }]`),
    images: [`docker.io/library/a@${digest}`, `quay.io/a/b:1@${digest}`, 'site:5000/a/b:1'],
  },
  {
    name: 'by short names',
    manifest: manifest('Pod', '  a: [{ image: busybox }, { image: crate/crate-operator:2 }, { image: localhost/a:1 }]'),
    images: ['docker.io/crate/crate-operator:2', 'docker.io/library/busybox:latest', 'localhost/a:1'],
  },
  {
    name: 'but not in a definition',
    manifest: manifest('CustomResourceDefinition', '    image:\n      description: |\n        such as\n        image: quay.io/a/b:1'),
    images: [],
  },
  {
    name: 'and not in what looks like one',
    manifest: manifest(
      'ConfigMap',
      [
        '  # image: quay.io/a/comment:1',
        '  url: https://example.com/a/b:1',
        '  rule: sum(rate(x{image!=""}[5m]))',
        '  kubernetes.io/metadata.name: a',
        '  imagePullPolicy: Always',
        '  imageID: quay.io/a/b',
        '  image: ""',
      ].join('\n'),
    ),
    images: [],
  },
]

for (const { name, manifest: text, images } of places)
  test(`an image is found ${name}`, async () => {
    const { images: found, said } = await listImages({ charts: { 'thing/templates/a.yaml': text } })
    assert.deepEqual(found, images, said)
  })

test('each image comes once, sorted, whoever uses it', async () => {
  const { images } = await listImages({
    components: `${stanza('thing')}\n${stanza('other', '  image busybox:1.35.0\n  image docker.io/a/exporter:1\n')}`,
    charts: {
      'thing/templates/a.yaml': places.map((place) => place.manifest).join('---\n'),
      'other/templates/a.yaml': manifest('Pod', '  image: quay.io/a/b:1'),
    },
  })
  const all = new Set([...places.flatMap((place) => place.images), 'docker.io/library/busybox:1.35.0', 'docker.io/a/exporter:1'])
  assert.deepEqual(images, [...all].sort())
})

test('a component that is left out brings none', async () => {
  const charts = { 'thing/templates/a.yaml': manifest('Pod', '  image: a:1'), 'other/templates/a.yaml': manifest('Pod', '  image: b:1') }
  const components = `${stanza('thing')}\n${stanza('other')}`
  assert.deepEqual((await listImages({ components, charts, env: { unwanted: 'other' } })).images, ['docker.io/library/a:1'])
})

const byValues =
  '{{ if .Values.some }}\napiVersion: v1\nkind: Pod\nmetadata: { name: a }\nimage: {{ .Values.image }}:{{ .Capabilities.KubeVersion.Minor }}\n{{ end }}'

test('the images are those of our values, and the user’s over them', async () => {
  const charts = { 'thing/templates/a.yaml': byValues, 'thing/values.yaml': 'image: chart\n' }
  assert.deepEqual((await listImages({ charts })).images, [])
  const values = { thing: 'some: true\nimage: ours\n' }
  assert.deepEqual((await listImages({ charts, values })).images, ['docker.io/library/ours:35'])
  await writeFile(join(folder, 'theirs.yaml'), 'image: theirs\n')
  const env = { value_files: `other=/nowhere\nthing=${folder}/theirs.yaml\n` }
  assert.deepEqual((await listImages({ charts, values, env })).images, ['docker.io/library/theirs:35'])
})

test('a component whose chart cannot be rendered is left out and named; one that is needed ends it', async () => {
  const charts = { 'thing/templates/a.yaml': manifest('Pod', '  image: a:1'), 'other/templates/a.yaml': '{{ fail "refuses" }}' }
  const usual = await listImages({ components: `${stanza('other')}\n${stanza('thing')}`, charts })
  assert.deepEqual(usual.images, ['docker.io/library/a:1'])
  assert.match(usual.said, /refuses[\s\S]*^other: its images are unknown$/m)
  const needed = await listImages({ components: `${stanza('other', '  role needed\n')}\n${stanza('thing')}`, charts })
  assert.deepEqual([needed.images, needed.code], [[], 1])
  assert.match(needed.said, /^other: its images are unknown$/m)
})

test('databases bring what the operator starts for them, and CrateDB in the versions that are given', async () => {
  const components = stanza('crate-operator', '  image busybox:1.35.0\n')
  const charts = { 'crate-operator/templates/a.yaml': manifest('Deployment', '  image: crate/crate-operator:2') }
  const without = await listImages({ components, charts })
  const always = ['docker.io/crate/crate-operator:2', 'docker.io/library/busybox:1.35.0']
  assert.deepEqual(without.images, always)
  assert.match(without.said, /^# CrateDB itself is not listed: pass --cratedb VERSION/)
  const { images, said } = await listImages({ components, charts, env: { cratedb_versions: '6.1.0 5.10.1' } })
  assert.deepEqual(images, [always[0], always[1], 'docker.io/library/crate:5.10.1', 'docker.io/library/crate:6.1.0'])
  assert.equal(said, '')
})

test('those of Skerry are in its chart', async () => {
  const version = (await readComponents()).find(({ name }) => name === 'skerry')?.version
  await promisify(execFile)(join(folder, 'bin/helm'), ['package', 'deploy/chart', '--destination', folder])
  const { images, said } = await listImages({ components: stanza('skerry'), skerry: join(folder, `skerry-${version}.tgz`) })
  const listed: string[] = parse(await readFile('deploy/chart/images.yaml', 'utf8'))
  assert.deepEqual(images, listed.sort(), said)
})
