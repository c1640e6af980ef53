import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { Spec, Validation } from '@cyclonedx/cyclonedx-library'
import type { Metafile } from 'esbuild'
import { isAllowed } from './licences.ts'

// The bills of materials that `npm run build` writes.

type Component = {
  group?: string
  name: string
  version: string
  purl: string
  licenses: { license?: { id: string }; expression?: string }[]
}

const folder = mkdtempSync(path.join(tmpdir(), 'skerry-sbom-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const base = `gcr.io/distroless/cc-debian12:nonroot@sha256:${'ab'.repeat(32)}`
before(() => promisify(execFile)(process.execPath, ['deploy/build.ts', folder, '--metafile', '--base', base]))

const read = (name: string) => readFileSync(path.join(folder, name), 'utf8')
const nameOf = ({ group, name, version }: Component) => `${group === undefined ? '' : `${group}/`}${name}@${version}`

/** The packages with code in a bundle, read from the metafile in another way than the build does. */
function bundled(program: string): string[] {
  const { outputs } = JSON.parse(read(`${program}.meta.json`)) as Metafile
  const files = Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs).filter((file) => (inputs[file]?.bytesInOutput ?? 0) > 0))
  const found = files.flatMap((file) => {
    const parts = file.split('/')
    const at = parts.lastIndexOf('node_modules')
    if (at < 0) return []
    const length = parts[at + 1]?.startsWith('@') ? 2 : 1
    const { name, version } = JSON.parse(readFileSync(path.join(...parts.slice(0, at + 1 + length), 'package.json'), 'utf8'))
    return [`${name}@${version}`]
  })
  return [...new Set(found)].sort()
}

for (const program of ['agent', 'monitor']) {
  test(`the bills of the ${program} are valid CycloneDX 1.6`, async () => {
    const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6)
    for (const name of [`${program}.cdx.json`, `${program}-image.cdx.json`]) assert.equal(await validator.validate(read(name)), null, name)
  })

  test(`the bill of the ${program} lists exactly the packages in its bundle, each with a licence that is allowed`, () => {
    const { components, dependencies, metadata } = JSON.parse(read(`${program}.cdx.json`))
    assert.deepEqual(components.map(nameOf).sort(), bundled(program))
    for (const component of components as Component[]) {
      const licences = component.licenses.map(({ license, expression }) => license?.id ?? expression)
      for (const licence of licences) assert.ok(isAllowed(String(licence)), `${nameOf(component)}: ${licence}`)
      assert.equal(licences.length, 1, nameOf(component))
      assert.equal(component.purl, `pkg:npm/${nameOf(component).replace(/^@/, '%40')}`)
    }
    assert.equal(metadata.component.name, `skerry-${program}`)
    const known = new Set([metadata.component['bom-ref'], ...components.map((each: { 'bom-ref': string }) => each['bom-ref'])])
    for (const { dependsOn = [] } of dependencies) for (const reference of dependsOn) assert.ok(known.has(reference), reference)
  })

  test(`the bill of the ${program}'s image has Node with its libraries, and the base with its digest`, () => {
    const bundle = JSON.parse(read(`${program}.cdx.json`)).components as Component[]
    const { components, metadata } = JSON.parse(read(`${program}-image.cdx.json`))
    assert.equal(metadata.component.type, 'container')
    const [node, image] = ['node', 'gcr.io/distroless/cc-debian12'].map((name) => components.find((each: Component) => each.name === name))
    assert.equal(node.version, process.versions.node)
    assert.ok(node.components.some(({ name, version }: Component) => name === 'openssl' && version === process.versions.openssl))
    assert.equal(image.version, `nonroot@sha256:${'ab'.repeat(32)}`)
    assert.equal(components.length, bundle.length + 2)
  })
}

test('a bill names what is inside, not what package.json asks for', () => {
  const names = (program: string) => (JSON.parse(read(`${program}.cdx.json`)).components as Component[]).map(({ name }) => name)
  assert.ok(names('agent').includes('hono') && !names('agent').includes('mqtt'))
  const [protobufjs] = (JSON.parse(read('monitor.cdx.json')).components as Component[]).filter(({ name }) => name === 'protobufjs')
  assert.ok(Number.parseInt(protobufjs?.version ?? '', 10) >= 8, 'earlier ones have vulnerabilities')
  assert.ok(names('monitor').includes('protobufjs') && !names('monitor').includes('hono'))
})
