import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { parse } from 'yaml'
import { nodeArguments } from '../../deploy/node-arguments.ts'
import { type Docker, startDocker } from './docker.ts'
import { argumentOf, imageOf, programs } from './images.ts'

const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
const megabyte = 1_000_000

let started: Docker
before(async () => {
  started = await startDocker()
})
after(() => started?.stop())

/** Runs a container as strictly as a pod does. */
const run = (...args: string[]) =>
  started.docker('run', '--rm', '--network=none', '--read-only', '--cap-drop=ALL', '--security-opt=no-new-privileges', ...args)

test('both images are built upon the Node that the lock file has, and upon the same bases', () => {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'))
  for (const program of programs) {
    const node = `node:${packages['node_modules/node'].version}-bookworm-slim`
    assert.equal(argumentOf(program, 'NODE').split('@')[0], node)
    for (const name of ['NODE', 'BASE']) assert.match(argumentOf(program, name), /@sha256:[0-9a-f]{64}$/)
    assert.equal(argumentOf(program, 'NODE'), argumentOf('agent', 'NODE'))
    assert.equal(argumentOf(program, 'BASE'), argumentOf('agent', 'BASE'))
  }
})

test('the chart asks for the images under the names under which they are built', () => {
  const listed: string[] = parse(readFileSync('deploy/chart/images.yaml', 'utf8'))
  for (const program of programs) assert.ok(listed.includes(imageOf(program)), imageOf(program))
})

for (const program of programs) {
  const image = imageOf(program)
  const inspect = async () => JSON.parse(await started.docker('image', 'inspect', image))[0]

  test(`the image of the ${program} holds its bill of materials: its Node, its base and its packages`, async () => {
    const read = "process.stdout.write(require('node:fs').readFileSync('/skerry/sbom.cdx.json'))"
    const bom = JSON.parse(await run('--entrypoint=/usr/local/bin/node', image, '--eval', read))
    assert.deepEqual([bom.bomFormat, bom.specVersion, bom.metadata.component.version], ['CycloneDX', '1.6', version])
    const versions = new Map(bom.components.map((each: { name: string; version: string }) => [each.name, each.version]))
    assert.equal(versions.get('node'), (await run('--entrypoint=/usr/local/bin/node', image, '--print', 'process.versions.node')).trim())
    assert.ok(versions.has('gcr.io/distroless/cc-debian12'))
    assert.ok(versions.has('zod'))
  })

  test(`the image of the ${program} is smaller than 200 MB`, async (t) => {
    const { Size } = await inspect()
    t.diagnostic(`${(Size / megabyte).toFixed(0)} MB`)
    assert.ok(Size < 200 * megabyte, `${Size} bytes`)
  })

  test(`the image of the ${program} says what it is, and starts as nobody in particular`, async () => {
    const { Config, Architecture, Os } = await inspect()
    assert.equal(Config.User, '65532:65532')
    const { 'org.opencontainers.image.title': title, 'org.opencontainers.image.version': said } = Config.Labels
    assert.deepEqual([title, said], [`skerry-${program}`, version])
    assert.deepEqual(Config.Entrypoint, ['/usr/local/bin/node', ...nodeArguments[program], `/skerry/${program}.mjs`])
    assert.equal(Os, 'linux')
    assert.ok(['amd64', 'arm64'].includes(Architecture))
  })

  test(`the image of the ${program} has no shell, no package manager and nothing that its user may change`, async () => {
    const container = (await started.docker('create', image)).trim()
    const listing = await started
      .docker('export', '--output', `${process.env.TMPDIR}/${program}.tar`, container)
      .then(() => listTar(program))
    await started.docker('rm', container)
    const paths = listing.map(({ path }) => path)
    assert.ok(paths.includes('usr/local/bin/node'))
    const unwanted = paths.filter((path) => /(^|\/)(sh|bash|dash|busybox|apt|dpkg|npm|npx|perl)$/.test(path))
    assert.deepEqual(unwanted, [])
    const source = paths.filter((path) => /\.ts$|node_modules\/|package-lock/.test(path))
    assert.deepEqual(source, [])
    const changeable = listing.filter(({ mode, path }) => mode[0] === '-' && mode[8] === 'w' && !path.startsWith('dev/'))
    assert.deepEqual(changeable, [])
    const other = program === 'agent' ? 'monitor' : 'agent'
    assert.deepEqual(
      paths.filter((path) => path.startsWith('skerry/') && path.includes(other) && !path.includes(program)),
      [],
    )
  })

  test(`the image of the ${program} answers --version and --help on a file system that is read-only`, async () => {
    assert.match(await run(image, '--version'), new RegExp(version.replaceAll('.', '\\.')))
    assert.match(await run(image, '--help'), new RegExp(`skerry-${program}`))
  })

  test(`the image of the ${program} refuses a configuration that is not there, by its exit status and by name`, async () => {
    const failure: Error & { code?: number } = await run(image, '--config', '/nowhere.yaml').then(
      () => assert.fail('it started'),
      (error) => error,
    )
    assert.match(failure.message, /nowhere\.yaml/)
    assert.equal(failure.code, 1)
  })
}

test('the preflight runs from the image of the agent, and says that there is no cluster', async () => {
  const failure: Error & { stdout?: string } = await run(imageOf('agent'), 'preflight').then(
    () => assert.fail('it found a cluster'),
    (error) => error,
  )
  assert.match(`${failure.message}${failure.stdout}`, /kubeconfig|cluster/i)
})

async function listTar(program: string): Promise<{ mode: string; path: string }[]> {
  const { execFile } = await import('node:child_process')
  const { promisify } = await import('node:util')
  const { stdout } = await promisify(execFile)('tar', ['--list', '--verbose', '--file', `${process.env.TMPDIR}/${program}.tar`], {
    maxBuffer: 64 << 20,
  })
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [mode = '', , , , , path = ''] = line.split(/\s+/)
      return { mode, path }
    })
}
