import { createHash } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import type { Check } from '../prober/check.ts'
import type { MonitorCaches } from './caches.ts'
import { type DiscoverySettings, discoveredChecks, type RegionView } from './discovered-checks.ts'

type DiscoveryParts = { caches: Pick<MonitorCaches, 'hosts' | 'databases' | 'services' | 'sparkplugNodes'>; clock: Clock; log: Log }

/** How long changes are gathered, in milliseconds: a project with ten databases comes as one change. */
const gatherMs = 500

/** Follows the caches, and reports when the discovered checks change. Start it after the caches, so that `checks()` is complete. */
export class Discovery implements Part {
  readonly name = 'discovery'
  readonly #settings: DiscoverySettings
  readonly #parts: DiscoveryParts
  readonly #listeners = new Set<(checks: readonly Check[]) => void>()
  readonly #ending = new AbortController()
  readonly #forget: (() => void)[] = []
  #known: readonly Check[] = []
  /** The essence of the objects that the known checks were made from. */
  #seen = ''
  /** Objects that cannot be checked; each is logged once. */
  #uncheckable = new Set<string>()
  #gathering: Promise<void> | undefined

  constructor(settings: DiscoverySettings, parts: DiscoveryParts) {
    this.#settings = settings
    this.#parts = parts
  }

  /** As of now, sorted by name. */
  checks(): readonly Check[] {
    return this.#known
  }

  /** Calls the listener when the checks change. Returns how to end that. */
  subscribe(listener: (checks: readonly Check[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async start(): Promise<void> {
    const { hosts, databases, services, sparkplugNodes } = this.#parts.caches
    this.#look()
    const gather = () => this.#gather()
    for (const source of [hosts, databases, services, sparkplugNodes]) this.#forget.push(source.subscribe(gather))
  }

  async stop(): Promise<void> {
    for (const end of this.#forget.splice(0)) end()
    this.#ending.abort(new Error('stopping'))
    await this.#gathering
  }

  /** Makes the checks again if something that they depend on has changed, unlike a database's health. @returns whether it did */
  #look(): boolean {
    const { caches, log } = this.#parts
    const view = {
      hosts: [...caches.hosts.values()],
      databases: [...caches.databases.values()],
      services: [...caches.services.values()],
      sparkplugNodes: [...caches.sparkplugNodes.values()],
    }
    const essence = essenceOf(view, this.#settings)
    if (essence === this.#seen) return false
    const leftOut = new Set<string>()
    this.#known = discoveredChecks(view, this.#settings, (object, error) => {
      leftOut.add(object)
      if (!this.#uncheckable.has(object)) log.warn({ err: error, object }, 'an object of the cluster cannot be checked, it is left out')
    })
    this.#uncheckable = leftOut
    this.#seen = essence
    return true
  }

  #gather(): void {
    const { clock, log } = this.#parts
    this.#gathering ??= clock
      .sleep(gatherMs, this.#ending.signal)
      .then(() => {
        this.#gathering = undefined
        if (!this.#look()) return
        log.info({ checks: this.#known.length }, 'checks found in the cluster')
        for (const listener of this.#listeners) listener(this.#known)
      })
      .catch((error: unknown) => {
        if (!this.#ending.signal.aborted) log.error({ err: error }, 'checks of the cluster could not be made')
      })
  }
}

/** Everything that `discoveredChecks` depends on, as a hash: with a thousand databases the text itself would take memory for nothing. */
function essenceOf({ hosts, databases, services, sparkplugNodes }: RegionView, { discovery }: DiscoverySettings): string {
  const hash = createHash('sha256')
  const add = (...values: unknown[]) => hash.update(JSON.stringify(values))
  if (discovery.kubelets) for (const { metadata } of hosts) add(metadata.name)
  for (const { metadata, nodes, suspended, deleting, tls } of databases)
    add(metadata.namespace, metadata.name, nodes, suspended, deleting, tls)
  for (const { metadata, component, ports } of services) add(metadata.namespace, metadata.name, component, ports)
  for (const { metadata } of sparkplugNodes) add(metadata.namespace, metadata.name)
  return hash.digest('base64')
}
