import { createHash } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import { asProblem, isProblem, Problem } from '../../shared/errors.ts'
import { applyObject } from '../../shared/kubernetes/apply.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { tellEvent } from '../../shared/kubernetes/events.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { createQueue } from '../../shared/queue.ts'
import { annotation, fieldManager } from '../resources/labels.ts'
import {
  desiredTunnel,
  exposedBy,
  exposureWarnings,
  hostnamesIn,
  isSameTunnel,
  isTakenUp,
  nextRevision,
  readExposure,
  readTunnelYaml,
  rolledDeployment,
  tunnelConfigMap,
  tunnelYaml,
} from './desired.ts'
import type { Tunnel } from './settings.ts'
import { lookUp, readSettings, type TunnelCaches } from './state.ts'

export type TunnelControllerParts = { caches: TunnelCaches; cluster: Cluster; lease: Leadership; clock: Clock; log: Log }

const retry = { baseMs: 500, capMs: 60_000 }
/** There is only one tunnel. */
const key = 'tunnel'
/** Owns the error in the ConfigMap of the settings, so that neither writer of it takes away what the other wrote. */
const errorManager = 'skerry-agent-tunnel'

/**
 * The tunnel controller: keeps cloudflared's configuration as it is to be, and has its pods replaced when it was not.
 *
 * It looks at the whole present state, whatever woke it, and acts only while the Lease is held. The caches are another's to start and
 * to stop.
 */
export function createTunnelController(tunnel: Tunnel, { caches, cluster, lease, clock, log: parentLog }: TunnelControllerParts): Part {
  const log = parentLog.child({ controller: 'tunnel' })
  const queue = createQueue({ name: 'tunnel', parallelism: 1, retry }, handle, { clock, log })
  const subscriptions: (() => void)[] = []
  let stopping = false
  let warnedOf = ''
  const acts = () => lease.isLeader() && !stopping
  /** Called before each write, so that a stop, or the loss of the Lease, takes effect between two of them. */
  const mustLead = () => {
    if (!acts()) throw new Problem('not-ready', 'The Lease is no longer held.')
  }

  async function handle(): Promise<number | undefined> {
    if (!acts()) return undefined
    try {
      await reconcile()
      await tellError(undefined)
      return undefined
    } catch (error) {
      if (!acts()) return undefined // it is for the next leader to try again
      const problem = asProblem(error)
      // Somebody else wrote what was to be written, and the cache will soon have it.
      if (isProblem(error, 'conflict')) return 200
      await tellError(problem.detail).catch((reason: unknown) => log.debug({ err: reason }, 'error not written'))
      throw error
    }
  }

  async function reconcile(): Promise<void> {
    await configure()
    await roll()
    await warn()
  }

  /** Brings `tunnel.yaml` to what it must be, under a revision of its own. */
  async function configure(): Promise<void> {
    const { settings, configuration, deployment } = lookUp(tunnel, caches)
    const found = readTunnelYaml(configuration)
    if (isSameTunnel(found, desiredTunnel(tunnel, readExposure(tunnel, settings)))) return
    // Settings and configuration are told by two watches. Nothing is opened because the one of the settings is behind.
    const expose = readExposure(tunnel, await readSettings(tunnel, cluster))
    const wanted = desiredTunnel(tunnel, expose)
    if (isSameTunnel(found, wanted)) return
    const revision = nextRevision(wanted, found, [configuration?.metadata.annotations?.[annotation.tunnelRevision], deployment?.revision])
    mustLead()
    const object = tunnelConfigMap(tunnel, tunnelYaml(tunnel, expose), revision)
    caches.configuration.put(await applyObject(cluster, object, { fieldManager, force: true }))
    const [before, now] = [hostnamesIn(found), exposedBy(tunnel, expose).map(({ hostname }) => hostname)]
    const opened = now.filter((hostname) => !before.includes(hostname))
    const closed = before.filter((hostname) => !now.includes(hostname))
    log.info({ revision, opened, closed, isNew: configuration === undefined }, 'tunnel configured')
  }

  /** Has pods that began with another configuration replaced. */
  async function roll(): Promise<void> {
    const { configuration, deployment } = lookUp(tunnel, caches)
    const revision = configuration?.metadata.annotations?.[annotation.tunnelRevision]
    if (revision === undefined || deployment === undefined || isTakenUp(revision, deployment.revision)) return
    mustLead()
    caches.deployment.put(await applyObject(cluster, rolledDeployment(tunnel, revision), { fieldManager, force: true }))
    log.info({ from: deployment.revision, to: revision }, 'cloudflared rolled')
  }

  /** Says in the log and by an Event what is exposed: at each change, and whenever another replica takes the lead. */
  async function warn(): Promise<void> {
    const { settings, configuration } = lookUp(tunnel, caches)
    const warnings = exposureWarnings(exposedBy(tunnel, readExposure(tunnel, settings)))
    const occasion = `${configuration?.metadata.annotations?.[annotation.tunnelRevision] ?? ''} ${warnings.join(' ')}`
    if (occasion === warnedOf) return
    mustLead()
    if (warnings.length > 0) {
      log.warn({ warnings }, 'more than the agent is exposed')
      await emit(occasion, warnings.join(' '))
    }
    warnedOf = occasion
  }

  async function emit(occasion: string, message: string): Promise<void> {
    const { namespace, configMap } = tunnel
    const { uid } = lookUp(tunnel, caches).configuration?.metadata ?? {}
    await tellEvent(cluster, {
      // The name is the occasion's, so that the next leader does not tell of it again while this one is kept.
      name: `skerry-tunnel.${createHash('sha256').update(occasion).digest('hex').slice(0, 16)}`,
      namespace,
      about: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: configMap, ...(uid !== undefined && { uid }) } },
      type: 'Warning',
      reason: 'Exposed',
      message,
      component: 'skerry-agent',
      now: clock.now(),
    })
  }

  /** Keeps what went wrong where every replica can tell it. */
  async function tellError(error: string | undefined): Promise<void> {
    const { settings } = lookUp(tunnel, caches)
    if (settings?.data?.error === error) return
    mustLead()
    const { namespace, settings: name } = tunnel
    const data = error === undefined ? {} : { error }
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data }
    caches.settings.put(await applyObject(cluster, object, { fieldManager: errorManager, force: true }))
  }

  return {
    name: 'tunnel controller',
    async start(signal) {
      const look = () => queue.add(key)
      subscriptions.push(
        caches.settings.subscribe(look),
        caches.configuration.subscribe(look),
        caches.deployment.subscribe(look),
        lease.onChange((leads) => {
          warnedOf = ''
          if (leads) look()
        }),
      )
      await queue.start(signal)
      look()
    },
    async stop(deadline) {
      stopping = true
      for (const unsubscribe of subscriptions) unsubscribe()
      await queue.stop(deadline)
    },
  }
}
