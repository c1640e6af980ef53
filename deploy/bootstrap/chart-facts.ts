import { parseAllDocuments } from 'yaml'
import { defaultsOf, unknownValues, type Values } from './chart-values.ts'

/**
 * The facts about a chart that the scripts here, their values and texts rely on, without labels that name a version. Their order does not
 * depend on the chart's, so that two charts can be compared.
 */
export type ChartFacts = {
  chart: string
  version: string
  /** The chart's condition on the version of Kubernetes. */
  kubeVersion?: string
  workloads: Workload[]
  services: ServiceFacts[]
  definitions: DefinitionFacts[]
  customs: CustomFacts[]
  secrets: string[]
  claims: { name: string; keep: boolean }[]
  /** The chart's defaults of the values that decide on facts. */
  defaults: Values
  /** Paths of our values that the chart does not list. It may have renamed them, or leave them out on purpose. */
  unknownValues: string[]
}

export type Container = {
  name: string
  image: string
  init?: true
  /** The arguments, and the variables as `NAME=value`, that name images. */
  args?: string[]
}

export type Workload = {
  kind: string
  name: string
  labels: Record<string, string>
  strategy?: string
  /** When helm runs it as a hook, and waits for its end. */
  hook?: string[]
  containers: Container[]
  /** Names of the claims that its pods share, and of those that each pod has for itself. */
  volumes?: { claims?: string[]; template?: string[] }
}

/** @property ports `name:port` */
type ServiceFacts = { name: string; namespace: string; ports: string[] }

/** @property from helm installs those of a folder crds/ once, and never upgrades or deletes them */
export type DefinitionFacts = { name: string; kind: string; scope: string; versions: string[]; from: 'templates' | 'crds'; keep: boolean }

/** Objects of a kind that the chart both defines and creates: the fields of their specs and, by name, their images by path. */
export type CustomFacts = { apiVersion: string; kind: string; fields: string[]; images?: Record<string, Record<string, string>> }

/** A chart as helm prints it. */
export type Rendered = {
  metadata: { name: string; version: string; kubeVersion?: string }
  /** What `helm template --include-crds` prints. */
  text: string
  namespace: string
  values: Values
  ours: Values
}

// biome-ignore lint/suspicious/noExplicitAny: manifests of all kinds
type Manifest = any

const workloadKinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob']

/** Pure. */
export function chartFacts({ metadata: { name: chart, version, kubeVersion }, text, namespace, values, ours }: Rendered): ChartFacts {
  // A chart's tests run only on request.
  const all = objectsOf(text).filter(({ object }) => !hooksOf(object).includes('test'))
  const of = (...kinds: string[]) => all.map(({ object }) => object).filter(({ kind }) => kinds.includes(kind))
  const definitions = all.filter(({ object }) => object.kind === 'CustomResourceDefinition').map(definitionFacts)
  const own = new Set(definitions.map(({ name, kind }) => `${name.slice(name.indexOf('.') + 1)}/${kind}`))
  const customs = all.filter(({ object: { apiVersion, kind } }) => own.has(`${apiVersion.split('/')[0]}/${kind}`))
  return {
    ...{ chart, version },
    ...(kubeVersion !== undefined && { kubeVersion }),
    workloads: of(...workloadKinds).map(workloadFacts),
    services: of('Service').map((object) => serviceFacts(object, namespace)),
    definitions,
    customs: customsFacts(customs.map(({ object }) => object)),
    secrets: of('Secret').map((object) => object.metadata.name),
    claims: of('PersistentVolumeClaim').map((object) => ({ name: object.metadata.name, keep: isKept(object) })),
    defaults: defaultsOf(values),
    unknownValues: unknownValues(values, ours),
  }
}

/** All objects by kind and name, with the file of the chart that each is from. */
function objectsOf(text: string): { source: string; object: Manifest }[] {
  let source = ''
  const objects = text.split(/^---$/m).flatMap((document) => {
    // If a file begins with a separator, its comment is in a document without an object.
    source = /^# Source: (.*)$/m.exec(document)?.[1] ?? source
    const here = source
    return parseAllDocuments(document).flatMap((each) => {
      const object: Manifest = each.toJS()
      return object?.kind === undefined ? [] : [{ source: here, object }]
    })
  })
  const key = ({ object }: { object: Manifest }) => `${object.kind} ${object.metadata.name}`
  return objects.sort((a, b) => (key(a) < key(b) ? -1 : 1))
}

function hooksOf({ metadata }: Manifest): string[] {
  return metadata.annotations?.['helm.sh/hook']?.split(/\s*,\s*/) ?? []
}

function isKept({ metadata }: Manifest): boolean {
  return metadata.annotations?.['helm.sh/resource-policy'] === 'keep'
}

function workloadFacts(object: Manifest): Workload {
  const { kind, metadata, spec } = object
  const { spec: pod } = (spec.jobTemplate?.spec ?? spec).template
  const hook = hooksOf(object)
  const strategy = spec.strategy?.type ?? spec.updateStrategy?.type
  const claims = (pod.volumes ?? []).flatMap((volume: Manifest) => volume.persistentVolumeClaim?.claimName ?? [])
  const template = (spec.volumeClaimTemplates ?? []).map((claim: Manifest) => claim.metadata.name)
  const volumes = { ...(claims.length > 0 && { claims }), ...(template.length > 0 && { template }) }
  return {
    ...{ kind, name: metadata.name, labels: lasting(metadata.labels ?? {}) },
    ...(strategy && { strategy }),
    ...(hook.length > 0 && { hook }),
    containers: [
      ...(pod.initContainers ?? []).map((each: Manifest) => ({ ...containerFacts(each), init: true })),
      ...pod.containers.map(containerFacts),
    ],
    ...(Object.keys(volumes).length > 0 && { volumes }),
  }
}

function lasting(labels: Record<string, string>): Record<string, string> {
  const ofVersions = ['helm.sh/chart', 'chart', 'app.kubernetes.io/version']
  return Object.fromEntries(Object.entries(labels).filter(([name]) => !ofVersions.includes(name)))
}

function containerFacts({ name, image, command, args, env }: Manifest): Container {
  const variables = (env ?? []).map((each: Manifest) => `${each.name}=${each.value}`)
  const naming = [...(command ?? []), ...(args ?? []), ...variables].map(String).filter((word) => imageIn(word) !== undefined)
  return { name, image, ...(naming.length > 0 && { args: naming }) }
}

/** The image in `--acme-http01-solver-image=quay.io/…`. Without its registry, it could not be distinguished from other text. */
function imageIn(word: string): string | undefined {
  return /(?:^|=)((?:[a-z0-9-]+\.)+[a-z]+(?::\d+)?\/[a-z0-9._/-]+:[\w.-]+(?:@sha256:[0-9a-f]{64})?)$/.exec(word)?.[1]
}

function serviceFacts({ metadata, spec }: Manifest, namespace: string): ServiceFacts {
  const ports = (spec.ports ?? []).map(({ name, port }: Manifest) => (name === undefined ? `${port}` : `${name}:${port}`))
  return { name: metadata.name, namespace: metadata.namespace ?? namespace, ports }
}

function definitionFacts({ source, object }: { source: string; object: Manifest }): DefinitionFacts {
  const { names, scope, versions } = object.spec
  return {
    ...{ name: object.metadata.name, kind: names.kind, scope, versions: versions.map(({ name }: Manifest) => name) },
    from: source.includes('/templates/') ? 'templates' : 'crds',
    keep: isKept(object),
  }
}

function customsFacts(objects: Manifest[]): CustomFacts[] {
  const kinds = new Map<string, CustomFacts>()
  for (const { apiVersion, kind, metadata, spec } of objects) {
    const known: CustomFacts = kinds.get(`${apiVersion} ${kind}`) ?? { apiVersion, kind, fields: [] }
    kinds.set(`${apiVersion} ${kind}`, known)
    known.fields = [...new Set([...known.fields, ...Object.keys(spec ?? {})])].sort()
    const images = imagesWithin(spec)
    if (Object.keys(images).length > 0) known.images = { ...known.images, [metadata.name]: images }
  }
  return [...kinds.values()]
}

function imagesWithin(value: unknown, path = 'spec'): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {}
  const found = Object.entries(value).map(([key, each]) =>
    key === 'image' && typeof each === 'string' ? { [`${path}.image`]: each } : imagesWithin(each, `${path}.${key}`),
  )
  return Object.assign({}, ...found)
}

/** All images of a chart, sorted: those of containers, in their arguments, and in its own objects. */
export function imagesOf({ workloads, customs }: ChartFacts): string[] {
  const containers = workloads.flatMap((workload) => workload.containers)
  const all = [
    ...containers.flatMap(({ image, args = [] }) => [image, ...args.map((word) => imageIn(word) as string)]),
    ...customs.flatMap(({ images = {} }) => Object.values(images).flatMap((each) => Object.values(each))),
  ]
  return [...new Set(all)].sort()
}
