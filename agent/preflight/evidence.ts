import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import type { Component } from './components.ts'
import type { Right } from './rights.ts'

/** Who asks: somebody who is about to install Skerry and what it stands on, or the agent that runs there already. */
export type Audience = 'installer' | 'agent'

/** What the pods of one namespace request in all, those that have ended left out. */
export type Requests = { millicores: number; bytes: bigint }

/**
 * What was seen of a cluster and of the ways out of it, at one moment.
 *
 * `undefined` says that it could not be read, or was not asked for: no rule may conclude anything from that.
 */
export type Evidence = {
  audience: Audience
  /** What is to be installed, or for the agent what is brought usually. */
  components: Component[]
  /** Of the machine that asks, in Unix milliseconds, in the middle of the request that was answered with `serverDate`. */
  now: number
  /** The API server's clock in Unix milliseconds; it tells whole seconds. */
  serverDate: number | undefined
  /** How long that request took, in milliseconds: no difference of clocks below this can be seen. */
  roundTripMs: number
  /** `v1.35.2` */
  kubernetes: string
  nodes: KubernetesObject[] | undefined
  /** By namespace. */
  requests: ReadonlyMap<string, Requests> | undefined
  storageClasses: KubernetesObject[] | undefined
  namespaces: KubernetesObject[] | undefined
  rights: { right: Right; allowed: boolean }[] | undefined
  /** Deployments of what the installer brings, wherever they are. */
  deployments: KubernetesObject[] | undefined
  /** Definitions of custom resources, all of them. */
  definitions: KubernetesObject[] | undefined
  /** Objects of Skerry's and the Crate Operator's kinds and of definitions that are being deleted. */
  instances: KubernetesObject[] | undefined
  /** Webhook configurations of both kinds. */
  webhooks: KubernetesObject[] | undefined
  apiServices: KubernetesObject[] | undefined
  /** The Deployment of the Crate Operator, where there is one. */
  operator: KubernetesObject | undefined
  /** Hosts outside that were tried; undefined when offline. */
  reached: Reached[] | undefined
  /** Charts that were asked for, of those whose host was reached; undefined when none was. */
  charts: ChartSeen[] | undefined
  /** Networks from which Services get their addresses, or those of them that are known. */
  serviceCidrs: string[] | undefined
  /** Networks of the site that pods must be able to reach, as they were given. */
  siteCidrs: string[]
  unread: Unread[]
}

/** How it went to reach a host outside. */
export type Reached = {
  host: string
  port: number
  /** What is not available without it, in words. */
  neededFor: string
  /** Without it nothing can be installed that runs databases. */
  vital: boolean
  /** `host:port` of the proxy it was tried through. */
  proxy: string | undefined
  outcome: 'reached' | 'unresolved' | 'refused' | 'silent' | 'proxy-unreachable' | 'proxy-refused' | 'untrusted'
  /** What was said, for people; empty when it was reached. */
  detail: string
}

/** Whether the chart of a component stands where the list of components says. */
export type ChartSeen = {
  component: string
  needed: boolean
  chart: string
  version: string
  repository: string
  /**
   * `no-repository`, `no-chart`, `no-version`: that is not there. `no-index`: something else answers. `unreached`: a host is not reached
   * to which it leads. `unclear`: nothing follows from what was answered.
   */
  outcome: 'there' | 'no-repository' | 'no-chart' | 'no-version' | 'no-index' | 'unreached' | 'unclear'
  /** What was said, for people; empty when it is there. */
  detail: string
}

/** A part of the evidence that could not be read, and why. */
export type Unread = { what: string; path: string; detail: string }
