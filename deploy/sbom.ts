import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Enums, Models, Serialize, Spec } from '@cyclonedx/cyclonedx-library'
import type { Metafile } from 'esbuild'

/** The image that a program's image is built upon, and the Node that is copied into it. */
export type ImageParts = { base: string; node: NodeJS.ProcessVersions }

type Manifest = { name: string; version: string; license?: string; description?: string }
type Lock = { packages: Record<string, { integrity?: string }> }

/**
 * The bill of materials of a bundle as CycloneDX 1.6 JSON: the packages whose code is in it, by the metafile of its build, and not all that
 * package.json asks for. With `image`, that of the image around it: Node with the libraries in its binary, and the base by its digest.
 *
 * The same bundle has the same bill: it names no time, and its serial number is made of its content.
 */
export function createSbom(program: string, metafile: Metafile, image?: ImageParts): string {
  const own = readManifest('.')
  const packages = packagesIn(metafile)
  const bom = new Models.Bom()
  const name = `skerry-${program}`
  const main = new Models.Component(image ? Enums.ComponentType.Container : Enums.ComponentType.Application, name, {
    bomRef: name,
    version: own.version,
    licenses: licensesOf(own),
  })
  bom.metadata.component = main
  const components = componentsOf([...packages.keys()])
  for (const [folder, component] of components) {
    bom.components.add(component)
    for (const dependency of packages.get(folder) ?? []) {
      const other = components.get(dependency)
      if (other !== undefined) component.dependencies.add(other.bomRef)
    }
    main.dependencies.add(component.bomRef)
  }
  for (const component of image === undefined ? [] : [nodeComponent(image.node), baseComponent(image.base)]) {
    bom.components.add(component)
    main.dependencies.add(component.bomRef)
  }
  const serialize = () =>
    new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6)).serialize(bom, { sortLists: true, space: 1 })
  bom.serialNumber = serialNumberOf(serialize())
  return serialize()
}

/** The folders of the packages whose code is in the output, each with those of the packages that it imports. */
function packagesIn({ inputs, outputs }: Metafile): Map<string, Set<string>> {
  const packages = new Map<string, Set<string>>()
  for (const output of Object.values(outputs))
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const folder = packageFolder(input)
      if (bytesInOutput === 0 || folder === undefined) continue
      const imported = packages.get(folder) ?? new Set()
      packages.set(folder, imported)
      for (const { path: target } of inputs[input]?.imports ?? []) {
        const other = packageFolder(target)
        if (other !== undefined && other !== folder) imported.add(other)
      }
    }
  return packages
}

/** The component of each folder. Two folders with the same version of a package, which npm does not always join, are one component. */
function componentsOf(folders: readonly string[]): Map<string, Models.Component> {
  const byPurl = new Map<string, Models.Component>()
  return new Map(
    folders.map((folder) => {
      const component = componentOf(folder)
      const purl = String(component.purl)
      const known = byPurl.get(purl) ?? component
      byPurl.set(purl, known)
      return [folder, known]
    }),
  )
}

/** The folder of the package that a file is in; undefined for our own files and Node's modules. */
function packageFolder(file: string): string | undefined {
  return /^(.*(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
}

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as Lock

function componentOf(folder: string): Models.Component {
  const manifest = readManifest(folder)
  const { name, version, description } = manifest
  const [, group, short = name] = /^(@[^/]+)\/(.+)$/.exec(name) ?? []
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`
  // In a checkout whose node_modules is a link, the folder is outside.
  const integrity = lock.packages[folder.slice(folder.indexOf('node_modules/'))]?.integrity
  const hashes = new Models.HashDictionary()
  if (integrity?.startsWith('sha512-'))
    hashes.set(Enums.HashAlgorithm['SHA-512'], Buffer.from(integrity.slice(7), 'base64').toString('hex'))
  return new Models.Component(Enums.ComponentType.Library, short, {
    bomRef: purl,
    version,
    purl,
    hashes,
    licenses: licensesOf(manifest),
    ...(group !== undefined && { group }),
    ...(description !== undefined && { description }),
  })
}

/** @throws Error for a package without an SPDX expression: its licence has to be looked up */
function licensesOf({ name, license }: Manifest): Models.LicenseRepository {
  if (typeof license !== 'string') throw new Error(`${name} says no licence in its package.json`)
  const isExpression = /[\s(]/.test(license)
  return new Models.LicenseRepository([isExpression ? new Models.LicenseExpression(license) : new Models.SpdxLicense(license)])
}

function nodeComponent({ node, ...libraries }: NodeJS.ProcessVersions): Models.Component {
  const component = new Models.Component(Enums.ComponentType.Platform, 'node', {
    bomRef: `pkg:generic/node@${node}`,
    version: node,
    purl: `pkg:generic/node@${node}`,
    licenses: new Models.LicenseRepository([new Models.SpdxLicense('MIT')]),
  })
  for (const [name, version = ''] of Object.entries(libraries))
    component.components.add(new Models.Component(Enums.ComponentType.Library, name, { bomRef: `node/${name}@${version}`, version }))
  return component
}

/** @param base such as `gcr.io/distroless/cc-debian12:nonroot@sha256:…` */
function baseComponent(base: string): Models.Component {
  const [, repository = base, tag = 'latest', digest] = /^(.+?)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(base) ?? []
  const version = digest === undefined ? tag : `${tag}@${digest}`
  const at = digest === undefined ? '' : `@${encodeURIComponent(digest)}`
  return new Models.Component(Enums.ComponentType.Container, repository, {
    bomRef: base,
    version,
    purl: `pkg:oci/${repository.split('/').at(-1)}${at}?repository_url=${encodeURIComponent(repository)}&tag=${tag}`,
  })
}

function serialNumberOf(text: string): string {
  const [a, b, c, d, e] = /^(.{8})(.{4})(.{3})(.{3})(.{12})/.exec(createHash('sha256').update(text).digest('hex'))?.slice(1) ?? []
  // RFC 9562, section 5.8: version 8, with bits of our own.
  return `urn:uuid:${a}-${b}-8${c}-8${d}-${e}`
}
