/**
 * The link outwards, to the cloud: the region registers, stays registered, and tells its status. The leader speaks.
 *
 *     contract/          what the region and its cloud have agreed: schemas and classes of refusals
 *     registration/      from a key to a registration: decide.ts decides, registrar.ts does, look.ts writes, telling.ts and refusing.ts say it;
 *                        cache.ts and story.ts show it
 *     status/            the status, whole or as a patch, and when it is told
 *     speaker.ts         when each of them is due, and how others speak with the cloud
 *     pace.ts            what the budget of the link slows
 *     link.ts            the key, the registration and the clock, over a store and a transport
 *     caller.ts          one call: proof, answer, refusal, time
 *     proof.ts           proofs that the region has its key; token-proof.ts proves an installation token
 *     file-sender.ts     gives the cloud the file of the region
 *     trust.ts           documents that the cloud has signed; trust-keeper.ts takes them
 *     cloud-clock.ts     how far the clock of the cloud is ahead
 *     transport.ts       how requests travel; undici-transport.ts over HTTPS
 *     kubernetes-store.ts  what must not be lost, in a Secret and a Registration
 *     settings.ts        the section `cloud` of the configuration
 */
import { readFile } from 'node:fs/promises'
import { type Cache, createCache } from '../../shared/kubernetes/cache.ts'
import type { EventRecorder } from '../../shared/kubernetes/event-recorder.ts'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import { inBackground, type Part } from '../../shared/lifecycle.ts'
import { type Meter, SocketBytes } from '../../shared/link/index.ts'
import type { LeaderTools } from '../operations/queue.ts'
import type { CloudClock } from './cloud-clock.ts'
import { createFileSender, type FileSender } from './file-sender.ts'
import { createKubernetesStore } from './kubernetes-store.ts'
import { paceOf } from './pace.ts'
import type { ShownRegistration } from './registration/cache.ts'
import { linkObjects } from './registration/status.ts'
import { createRegistrationStory } from './registration/story.ts'
import type { CloudConfig } from './settings.ts'
import { createSpeaker, type SpeakerParts } from './speaker.ts'

export type LinkGiven = {
  namespace: string
  region: { id: string; name?: string | undefined }
  version: string
  status: SpeakerParts['status']
  cloudClock: CloudClock
  /** Followed by every replica. Nothing waits for it: its CRD may be missing. */
  registration: ShownRegistration
  recorder: Pick<EventRecorder, 'record'>
  /** Counts the bytes, and says what slows. */
  meter: Meter
  called?: SpeakerParts['called']
}

/** The link of this region to its cloud, for the leader: it speaks, and tells the story of the registration. */
export async function createLink(
  config: CloudConfig,
  given: LinkGiven,
  tools: LeaderTools,
): Promise<{ parts: Part[]; sender: FileSender }> {
  const { cluster, lease, clock } = tools
  const { namespace, version, status, recorder, cloudClock, meter, called } = given
  const registration = given.registration.cache
  const log = tools.log.child({ controller: 'cloud' })
  const ca = config.caFile === undefined ? undefined : await readFile(config.caFile, 'utf8')
  const bytes = new SocketBytes()
  meter.attach('cloud', () => bytes.total)
  // Loaded here: without a cloud nobody pays for it.
  const { createUndiciTransport } = await import('./undici-transport.ts')
  const fieldSelector = `metadata.name=${linkObjects.join}`
  const join = createCache({ kind: kinds.Secret, namespace, fieldSelector }, { cluster, clock, log })

  async function region() {
    const { id, name } = given.region
    const system = await readObject(cluster, pathOf(kinds.Namespace, undefined, 'kube-system'))
    const told = { id, cluster: system?.metadata.uid ?? '', ...(name !== undefined && { name }) }
    return { cloud: config.url, region: told, version, tags: config.tags }
  }

  const speaker = createSpeaker(
    { heartbeatMs: config.heartbeat, gatherMs: config.gather, region },
    {
      store: (mustAct) => createKubernetesStore(namespace, { cluster, mustAct }),
      transport: createUndiciTransport({ url: config.url, ca, timeoutMs: config.timeout, clock, bytes }),
      random: Math.random,
      status,
      cloudClock,
      pace: paceOf(meter),
      called,
      // Its status is written here, and comes back as a change too: the look that it causes finds nothing to do.
      onWanted: (changed) => [registration.subscribe(changed), whenFollowed(registration, changed), join.subscribe(changed)],
      lease,
      clock,
      log,
    },
  )
  const followed = inBackground('registration', [registration])
  return { parts: [followed, join, createRegistrationStory({ registration, recorder, lease }), speaker], sender: createFileSender(speaker) }
}

/** Calls when it can be followed again: its CRD was installed, or a right was given. Returns the function that unsubscribes. */
function whenFollowed(cache: Pick<Cache, 'onTrouble' | 'trouble'>, changed: () => void): () => void {
  return cache.onTrouble(() => cache.trouble === undefined && changed())
}
