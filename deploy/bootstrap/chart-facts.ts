/** What of a chart other people rely on, such as the scripts here: what it renders, without what is of no matter to them. */
export type ChartFacts = {
  version: string
  /** The condition of the chart on the version of Kubernetes. */
  kubeVersion?: string
  workloads: Workload[]
  services: { name: string; namespace: string; ports: string[] }[]
  definitions: DefinitionFacts[]
  /** Objects of kinds that it defines itself, by whose fields its definitions have to know, and whose operators start images. */
  customs: CustomFacts[]
  secrets: string[]
  /** What the chart says where our values say something, and at which of them it has nothing of that name. */
  defaults: Record<string, unknown>
  unknownValues: string[]
  claims: { name: string; keep: boolean }[]
}

export type Container = { name: string; image: string; init?: true; args?: string[] }

export type Workload = {
  kind: string
  name: string
  labels: Record<string, string>
  strategy?: string
  /** When helm runs it, and waits for its end. */
  hook?: string[]
  containers: Container[]
  /** Templates of claims, and claims that its pods name. */
  volumes?: { template?: string[]; claims?: string[] }
}

export type DefinitionFacts = { name: string; kind: string; scope: string; versions: string[]; from: 'templates' | 'crds'; keep: boolean }

/** Objects of one kind: the fields of their specs, and by the names of those that have any, the images by their paths. */
export type CustomFacts = { apiVersion: string; kind: string; fields: string[]; images?: Record<string, Record<string, string>> }

// biome-ignore lint/suspicious/noExplicitAny: manifests of all kinds
type Manifest = any

/** What a chart is: its own condition on Kubernetes, what `helm template` renders, and what `helm show crds` shows. */
export type Rendered = { version: string; kubeVersion?: string; manifests: Manifest[]; folder: Manifest[]; values: Values; ours: Values }

export type Values = Record<string, unknown>

const workloadKinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob']

/** Pure. In the order of the names, so that two of them can be compared as texts. */
export function chartFacts({ version, kubeVersion, manifests, folder, values, ours }: Rendered, namespace: string): ChartFacts {
  // Tests that a chart brings along are run by those who ask for them.
  const objects = manifests.filter(({ kind, metadata }) => kind !== undefined && !hooksOf(metadata).includes('test'))
  const of = (...kinds: string[]) => objects.filter(({ kind }) => kinds.includes(kind)).sort(byName)
  const definitions = [
    ...of('CustomResourceDefinition').map((object) => definitionFacts(object, 'templates')),
    ...folder.map((object) => definitionFacts(object, 'crds')),
  ].sort((a, b) => (a.name < b.name ? -1 : 1))
  const kinds = new Set(definitions.map(({ name, kind }) => `${name.slice(name.indexOf('.') + 1)}/${kind}`))
  return {
    version,
    ...(kubeVersion !== undefined && { kubeVersion }),
    workloads: of(...workloadKinds).map(workloadFacts),
    services: of('Service').map(({ metadata, spec }) => ({
      name: metadata.name,
      namespace: metadata.namespace ?? namespace,
      ports: (spec.ports ?? []).map(({ name, port }: Manifest) => (name === undefined ? `${port}` : `${name}:${port}`)),
    })),
    definitions,
    customs: customsFacts(objects.filter(({ apiVersion, kind }) => kinds.has(`${apiVersion.split('/')[0]}/${kind}`))),
    secrets: of('Secret').map(({ metadata }) => metadata.name),
    claims: of('PersistentVolumeClaim').map(({ metadata }) => ({ name: metadata.name, keep: isKept(metadata) })),
    defaults: defaultsOf(values, { ...deciding, ...ours }),
    unknownValues: unknownValues(values, ours),
  }
}

function byName(a: Manifest, b: Manifest): number {
  const [left, right] = [a, b].map(({ kind, metadata }) => `${kind} ${metadata.name}`) as [string, string]
  return left < right ? -1 : Number(left > right)
}

function isKept(metadata: Manifest): boolean {
  return metadata.annotations?.['helm.sh/resource-policy'] === 'keep'
}

function definitionFacts({ metadata, spec }: Manifest, from: 'templates' | 'crds'): DefinitionFacts {
  const versions = spec.versions.map(({ name }: Manifest) => name)
  return { name: metadata.name, kind: spec.names.kind, scope: spec.scope, versions, from, keep: isKept(metadata) }
}

/** By kind. Names only of those that name images. */
function customsFacts(objects: Manifest[]): CustomFacts[] {
  const kinds = new Map<string, CustomFacts>()
  for (const { apiVersion, kind, metadata, spec } of [...objects].sort(byName)) {
    const known: CustomFacts = kinds.get(`${apiVersion} ${kind}`) ?? { apiVersion, kind, fields: [] }
    kinds.set(`${apiVersion} ${kind}`, known)
    known.fields = [...new Set([...known.fields, ...Object.keys(spec ?? {})])].sort()
    const images = imagesWithin(spec)
    if (Object.keys(images).length > 0) known.images = { ...known.images, [metadata.name]: images }
  }
  return [...kinds.values()]
}

function hooksOf(metadata: Manifest): string[] {
  return metadata.annotations?.['helm.sh/hook']?.split(/\s*,\s*/) ?? []
}

function workloadFacts({ kind, metadata, spec }: Manifest): Workload {
  const { spec: pod } = (spec.jobTemplate?.spec ?? spec).template
  const template = (spec.volumeClaimTemplates ?? []).map((claim: Manifest) => claim.metadata.name)
  const claims = (pod.volumes ?? []).flatMap((volume: Manifest) => volume.persistentVolumeClaim?.claimName ?? [])
  const hook = hooksOf(metadata)
  const strategy = spec.strategy?.type ?? spec.updateStrategy?.type
  return {
    ...{ kind, name: metadata.name, labels: lasting(metadata.labels ?? {}) },
    ...(hook.length > 0 && { hook }),
    ...(strategy && { strategy }),
    containers: [
      ...(pod.initContainers ?? []).map((container: Manifest) => ({ ...containerFacts(container), init: true })),
      ...(pod.containers ?? []).map(containerFacts),
    ],
    ...((template.length > 0 || claims.length > 0) && {
      volumes: { ...(template.length > 0 && { template }), ...(claims.length > 0 && { claims }) },
    }),
  }
}

/** Without those that name a version. */
function lasting(labels: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels).filter(([name]) => !['helm.sh/chart', 'chart', 'app.kubernetes.io/version'].includes(name)),
  )
}

function containerFacts({ name, image, command, args, env }: Manifest): Container {
  const words: string[] = [...(command ?? []), ...(args ?? []), ...(env ?? []).map((each: Manifest) => `${each.name}=${each.value}`)].map(
    String,
  )
  const naming = words.filter((word) => imageIn(word) !== undefined)
  return { name, image, ...(naming.length > 0 && { args: naming }) }
}

/** The image that an argument names, such as that of `--acme-http01-solver-image=…`. Its registry is named, or it cannot be told from other text. */
function imageIn(word: string): string | undefined {
  return /(?:^|=)((?:[a-z0-9-]+\.)+[a-z]+(?::\d+)?\/[a-z0-9._/-]+:[\w.-]+(?:@sha256:[0-9a-f]{64})?)$/.exec(word)?.[1]
}

/** Each field named `image` in a custom object, by its path. */
function imagesWithin(value: unknown, path = 'spec'): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {}
  return Object.assign(
    {},
    ...Object.entries(value).map(([key, each]) =>
      key === 'image' && typeof each === 'string' ? { [`${path}.image`]: each } : imagesWithin(each, `${path}.${key}`),
    ),
  )
}

const isMap = (value: unknown): value is Values => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Values that decide on what is told here, even where we leave them as they are. */
const deciding: Values = {
  env: {},
  installCRDs: false,
  crds: { enabled: true, keep: true, annotations: {} },
  deploymentStrategy: { type: '' },
}

function defaultsOf(values: Values, ours: Values): Values {
  const found: Values = {}
  for (const [key, value] of Object.entries(ours)) {
    const own = values[key]
    // What is empty may hold anything, and of what is long only the part that we touch is told.
    if (isMap(value) && isMap(own) && Object.keys(own).length > 0) found[key] = key === 'env' ? own : defaultsOf(own, value)
    else if (key in values) found[key] = own
  }
  return found
}

/** Paths of ours that the chart has no place for: it calls them something else by now. What it leaves empty takes anything. */
function unknownValues(values: Values, ours: Values, path = ''): string[] {
  return Object.entries(ours).flatMap(([key, value]) => {
    if (!(key in values)) return [`${path}${key}`]
    const own = values[key]
    return isMap(value) && isMap(own) && Object.keys(own).length > 0 ? unknownValues(own, value, `${path}${key}.`) : []
  })
}

/** All images of a chart, wherever it names them. */
export function imagesOf({ workloads, customs }: ChartFacts): string[] {
  const all = [
    ...workloads.flatMap(({ containers }) =>
      containers.flatMap(({ image, args = [] }) => [image, ...args.map((word) => imageIn(word) as string)]),
    ),
    ...customs.flatMap(({ images = {} }) => Object.values(images).flatMap((each) => Object.values(each))),
  ]
  return [...new Set(all)].sort()
}
