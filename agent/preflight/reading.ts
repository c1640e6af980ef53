import type { Clock } from '../../shared/clock.ts'
import type { Offset } from '../../shared/clock-offset.ts'
import { isProblem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type Kind, type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { podRequest } from '../../shared/kubernetes/pod-requests.ts'
import { label } from '../resources/labels.ts'
import type { Component } from './components.ts'
import type { Audience, ChartSeen, Evidence, PodSum, Reached, Unread } from './evidence.ts'
import { minorOf } from './kubernetes.ts'
import { readNodeClocks } from './node-clocks.ts'
import { agentRights, everything, installerRights, type Right } from './rights.ts'

export type ReadingOptions = {
  audience: Audience
  /** The namespace of Skerry. */
  namespace: string
  /** Networks of the site that pods must be able to reach. */
  siteCidrs: string[]
  /** The components to be installed; for the agent, the usual ones. */
  components: Component[]
  /** The Deployment of the Crate Operator. The agent knows it; an installer looks for it. */
  operator?: { namespace: string; name: string }
  /** The clocks that an agent follows. Without it, the nodes are listened to for a few seconds. */
  clocks?: (() => { nodes: ReadonlyMap<string, Offset>; cloud: Offset | undefined }) | undefined
  /** Tries the hosts outside; undefined when offline. */
  outside?: (() => Promise<{ reached: Reached[]; charts: ChartSeen[] | undefined }>) | undefined
}

const definitionKind: Kind = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
}
const apiServiceKind: Kind = { apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', plural: 'apiservices', namespaced: false }
const bindingKind: Kind = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingAdmissionPolicyBinding',
  plural: 'validatingadmissionpolicybindings',
  namespaced: false,
}
const webhookKinds: Kind[] = ['Validating', 'Mutating'].map((what) => ({
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: `${what}WebhookConfiguration`,
  plural: `${what.toLowerCase()}webhookconfigurations`,
  namespaced: false,
}))
/** Groups whose objects are read even if their CRDs are in order. */
const ownGroups = ['skerry.dev', 'cloud.crate.io']

/**
 * Reads the evidence. Parts that could not be read are in `unread`.
 * @throws Problem when the API server does not answer at all, or rejects the credentials
 */
export async function readEvidence(options: ReadingOptions, { cluster, clock }: { cluster: Cluster; clock: Clock }): Promise<Evidence> {
  const { audience, namespace, siteCidrs, components } = options
  const isInstaller = audience === 'installer'
  const unread: Unread[] = []
  const { list, fold } = reader(cluster, unread)
  const greeting = await greet(cluster, clock)
  const listed = list(kinds.Namespace)
  const needed = async () =>
    isInstaller ? installerRights(minorOf(greeting.kubernetes)) : agentRights(namespace, projectAmong((await listed) ?? []))
  const followed = options.clocks?.()
  const [nodes, nodeClocks, storageClasses, namespaces, sums, rights, serviceCidrs, outside, operator, isConfined] = await Promise.all([
    list(kinds.Node),
    followed?.nodes ?? readNodeClocks({ cluster, clock }),
    list(kinds.StorageClass),
    listed,
    fold(kinds.Pod, new Map<string, PodSum>(), addRequests),
    needed().then((rights) => reviewRights(cluster, rights, unread)),
    readServiceCidrs(cluster, isInstaller),
    options.outside?.(),
    options.operator && readOperator(cluster, options.operator, unread),
    isInstaller ? undefined : readBoundary(cluster, unread),
  ])
  const installerOnly = isInstaller ? await readLeftOvers(list) : {}
  return {
    audience,
    components,
    ...greeting,
    nodeClocks,
    cloudClock: followed?.cloud,
    ...{
      nodes,
      pods: sums && [...sums.values()],
      storageClasses,
      namespaces,
      rights,
      serviceCidrs,
      siteCidrs,
      operator,
      isConfined,
      unread,
    },
    ...{ reached: outside?.reached, charts: outside?.charts },
    ...{ deployments: undefined, definitions: undefined, instances: undefined, webhooks: undefined, apiServices: undefined },
    ...installerOnly,
  }
}

/** The namespace of a project: the agent has the same rights in each of them. */
function projectAmong(namespaces: KubernetesObject[]): string | undefined {
  return namespaces.find(({ metadata }) => metadata.labels?.[label.project] !== undefined && metadata.deletionTimestamp === undefined)
    ?.metadata.name
}

async function readLeftOvers(list: Reader['list']) {
  const [deployments, definitions, apiServices, ...webhooks] = await Promise.all([
    list(kinds.Deployment),
    list(definitionKind),
    list(apiServiceKind),
    ...webhookKinds.map((kind) => list(kind)),
  ])
  const looked = (definitions ?? []).filter(({ metadata, spec }) => metadata.deletionTimestamp || ownGroups.includes(spec?.group))
  const instances = await Promise.all(looked.map((definition) => list(kindOf(definition))))
  return {
    deployments,
    operator: deployments?.find(({ metadata }) => metadata.labels?.['app.kubernetes.io/name'] === 'crate-operator'),
    definitions,
    apiServices,
    instances: definitions && instances.flatMap((found) => found ?? []),
    webhooks: webhooks.includes(undefined) ? undefined : webhooks.flatMap((found) => found ?? []),
  }
}

function kindOf({ spec }: KubernetesObject): Kind {
  const version = spec.versions.find(({ storage }: { storage: boolean }) => storage)?.name ?? spec.versions[0].name
  return {
    apiVersion: `${spec.group}/${version}`,
    kind: spec.names.kind,
    plural: spec.names.plural,
    namespaced: spec.scope === 'Namespaced',
  }
}

/** The first request. It shows whether the API server answers, its version and its clock. */
async function greet(cluster: Cluster, clock: Clock) {
  const started = clock.monotonic()
  let date: string | undefined
  const { gitVersion } = await cluster.request<{ gitVersion: string }>({
    method: 'GET',
    path: '/version',
    onHeaders: (headers) => {
      date = headers.date
    },
  })
  const roundTripMs = clock.monotonic() - started
  const told = Date.parse(date ?? '')
  return {
    kubernetes: gitVersion,
    now: clock.now() - roundTripMs / 2,
    roundTripMs,
    serverDate: Number.isNaN(told) ? undefined : told,
  }
}

type Reader = {
  list(kind: Kind): Promise<KubernetesObject[] | undefined>
  fold<T>(kind: Kind, start: T, add: (sum: T, item: KubernetesObject) => void): Promise<T | undefined>
}

/** Objects in one page, so that a cluster with ten thousand pods takes time but no memory. */
const pageSize = 250

function reader(cluster: Cluster, unread: Unread[]): Reader {
  async function fold<T>(kind: Kind, sum: T, add: (sum: T, item: KubernetesObject) => void): Promise<T | undefined> {
    const path = pathOf(kind)
    try {
      for (let token: string | undefined, first = true; first || token; first = false) {
        const query = { limit: pageSize, continue: token }
        const { items, metadata } = await cluster.request({ method: 'GET', path, query, timeoutMs: 20_000 })
        for (const item of items) add(sum, { ...item, apiVersion: kind.apiVersion, kind: kind.kind })
        token = metadata?.continue || undefined
      }
      return sum
    } catch (error) {
      // A kind that is not served has no objects.
      if (isProblem(error, 'not-served')) return sum
      unread.push({ what: kind.plural, path, detail: messageOf(error) })
      return undefined
    }
  }
  const list = (kind: Kind) => fold<KubernetesObject[]>(kind, [], (all, item) => void all.push(item))
  return { list, fold }
}

function addRequests(sums: Map<string, PodSum>, { metadata, spec = {}, status }: KubernetesObject): void {
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return
  const at = { namespace: metadata.namespace ?? '', node: spec.nodeName || undefined }
  const key = JSON.stringify([at.namespace, at.node])
  const known = sums.get(key) ?? { ...at, pods: 0, millicores: 0, bytes: 0n }
  known.pods += 1
  known.millicores += Number(podRequest(spec, 'cpu'))
  known.bytes += podRequest(spec, 'memory')
  sums.set(key, known)
}

/** Whether the binding of the chart's policy is there. Older versions of Kubernetes have no such kind. */
async function readBoundary(cluster: Cluster, unread: Unread[]): Promise<boolean | undefined> {
  const path = pathOf(bindingKind, undefined, 'skerry-agent-boundary')
  try {
    await cluster.request({ method: 'GET', path })
    return true
  } catch (error) {
    if (isProblem(error, 'not-found', 'not-served')) return false
    unread.push({ what: 'the policy that confines the agent', path, detail: messageOf(error) })
    return undefined
  }
}

async function readOperator(cluster: Cluster, { namespace, name }: { namespace: string; name: string }, unread: Unread[]) {
  const path = pathOf(kinds.Deployment, namespace, name)
  try {
    return await cluster.request<KubernetesObject>({ method: 'GET', path })
  } catch (error) {
    if (!isProblem(error, 'not-found')) unread.push({ what: 'the Crate Operator', path, detail: messageOf(error) })
    return undefined
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Checks all rights with one request first, since most installers are cluster-admin, then each right. */
async function reviewRights(cluster: Cluster, rights: Right[], unread: Unread[]): Promise<Evidence['rights']> {
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
  const isAllowed = async (resourceAttributes: Right) => {
    const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } }
    const { status } = await cluster.request<{ status: { allowed: boolean } }>({ method: 'POST', path, body })
    return status.allowed
  }
  try {
    if (await isAllowed(everything)) return rights.map((right) => ({ right, allowed: true }))
    const answers: boolean[] = []
    const most = 8 // at a time
    for (let from = 0; from < rights.length; from += most)
      answers.push(...(await Promise.all(rights.slice(from, from + most).map(isAllowed))))
    return rights.map((right, index) => ({ right, allowed: answers[index] ?? false }))
  } catch (error) {
    unread.push({ what: 'permissions', path, detail: messageOf(error) })
    return undefined
  }
}

/**
 * The networks of Services. Before Kubernetes 1.33 there is no resource for them, but the API server names the network when it refuses a
 * Service with an impossible address, in a dry run. Where it does not (1.20), only the address of the API server itself is known.
 */
async function readServiceCidrs(cluster: Cluster, mayTry: boolean): Promise<string[] | undefined> {
  const told = await cluster.request({ method: 'GET', path: '/apis/networking.k8s.io/v1/servicecidrs' }).catch(() => undefined)
  const networks: string[] = told?.items.flatMap(({ spec }: KubernetesObject) => spec?.cidrs ?? []) ?? []
  if (networks.length > 0) return networks
  const refused = mayTry ? await refusedAddress(cluster) : undefined
  if (refused !== undefined) return [refused]
  const own = await cluster.request({ method: 'GET', path: pathOf(kinds.Service, 'default', 'kubernetes') }).catch(() => undefined)
  const addresses: string[] = own?.spec?.clusterIPs ?? (own?.spec?.clusterIP ? [own.spec.clusterIP] : [])
  return addresses.length === 0 ? undefined : addresses.map((address) => `${address}/${address.includes(':') ? 128 : 32}`)
}

async function refusedAddress(cluster: Cluster): Promise<string | undefined> {
  const spec = { clusterIP: '198.51.100.1', ports: [{ port: 1 }] } // RFC 5737: reserved for documentation, so in no cluster
  const body = { apiVersion: 'v1', kind: 'Service', metadata: { generateName: 'skerry-preflight-' }, spec }
  try {
    await cluster.request({ method: 'POST', path: '/api/v1/namespaces/default/services', query: { dryRun: 'All' }, body })
    return undefined
  } catch (error) {
    return /valid IPs is ([0-9a-f.:]+\/\d+)/i.exec(error instanceof Error ? error.message : '')?.[1]
  }
}
