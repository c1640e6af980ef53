import type { Offset } from '../../shared/clock-offset.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import type { Component } from './components.ts'
import type { Right } from './rights.ts'

/** For whom the check runs: a person who will install Skerry and its components, or the agent that runs already. */
export type Audience = 'installer' | 'agent'

/** An amount of processor and memory. */
export type Requests = { millicores: number; bytes: bigint }

/** The requests of one namespace's pods on one node, without those that have ended. */
export type PodSum = Requests & {
  namespace: string
  /** undefined for pods that wait for a node: they take nothing yet. */
  node: string | undefined
  pods: number
}

/**
 * The state of a cluster and of its connections to the outside, at one moment.
 *
 * `undefined` means that a part could not be read, or was not requested: no rule may conclude anything from that.
 */
export type Evidence = {
  audience: Audience
  /** The components to be installed; for the agent, the usual ones. */
  components: Component[]
  /** The clock of this machine in Unix milliseconds, in the middle of the request that returned `serverDate`. */
  now: number
  /** The API server's clock in Unix milliseconds, to the second. */
  serverDate: number | undefined
  /** How long that request took, in milliseconds: smaller differences of the clocks cannot be detected. */
  roundTripMs: number
  /** How far the clocks of nodes are ahead of that of this machine, by the name of the node; those that are silent are missing. */
  nodeClocks: ReadonlyMap<string, Offset> | undefined
  /** How far the clock of the cloud is ahead; only an agent that speaks with a cloud knows. */
  cloudClock: Offset | undefined
  /** `v1.35.2` */
  kubernetes: string
  nodes: KubernetesObject[] | undefined
  pods: PodSum[] | undefined
  storageClasses: KubernetesObject[] | undefined
  namespaces: KubernetesObject[] | undefined
  rights: { right: Right; allowed: boolean }[] | undefined
  /** Deployments of all namespaces. */
  deployments: KubernetesObject[] | undefined
  /** All CRDs. */
  definitions: KubernetesObject[] | undefined
  /** Objects of Skerry's and the Crate Operator's kinds, and of CRDs that are being deleted. */
  instances: KubernetesObject[] | undefined
  /** Webhook configurations of both kinds. */
  webhooks: KubernetesObject[] | undefined
  apiServices: KubernetesObject[] | undefined
  /** Whether the policy is in effect that confines the agent; only the agent looks. */
  isConfined: boolean | undefined
  /** The Deployment of the Crate Operator, where there is one. */
  operator: KubernetesObject | undefined
  /** Hosts outside that were tried; undefined when offline. */
  reached: Reached[] | undefined
  /** The charts that were looked for, of the hosts that were reached; undefined if none was looked for. */
  charts: ChartSeen[] | undefined
  /** Networks from which Services get their addresses, or those of them that are known. */
  serviceCidrs: string[] | undefined
  /** Networks of the site that pods must be able to reach, as they were given. */
  siteCidrs: string[]
  unread: Unread[]
}

/** The outcome of reaching a host outside. */
export type Reached = {
  host: string
  port: number
  /** What is not available without it, in words. */
  neededFor: string
  /** Whether databases cannot be installed without it. */
  vital: boolean
  /** `host:port` of the proxy it was tried through. */
  proxy: string | undefined
  outcome: 'reached' | 'unresolved' | 'refused' | 'silent' | 'proxy-unreachable' | 'proxy-refused' | 'untrusted'
  /** The reason, for people; empty when it was reached. */
  detail: string
}

/** Whether the chart of a component is in the repository of the list. */
export type ChartSeen = {
  component: string
  needed: boolean
  chart: string
  version: string
  repository: string
  /**
   * `no-repository`, `no-chart`, `no-version`: it does not exist. `no-index`: another server answers. `unreached`: it redirects to a host that
   * is not reached. `unclear`: the answer is inconclusive.
   */
  outcome: 'there' | 'no-repository' | 'no-chart' | 'no-version' | 'no-index' | 'unreached' | 'unclear'
  /** The reason, for people; empty when it exists. */
  detail: string
}

/** A part of the evidence that could not be read, and why. */
export type Unread = { what: string; path: string; detail: string }
