import type { StandInKind } from '../../client/kinds.ts'
import type { KubernetesObject } from '../../client/objects.ts'
import type { Databases } from '../databases.ts'
import type { Index } from '../index-by.ts'
import type { World } from '../world.ts'
import type { Faults } from './faults.ts'
import type { Draft } from './objects.ts'
import type { Webhooks, WebhookTarget } from './webhooks.ts'

/** How the stand-in is set up, in the words of the real operator's configuration where it has them. */
export type OperatorOptions = {
  /** Pause between two passes over one object. The real operator's are 15 to 60 seconds. */
  stepMs: number
  /** How long after a change an object's health is looked at. */
  healthMs: number
  /** Between the end of an upgrade or resume and the CronJob's return; an hour in reality. */
  cronJobDelayMs: number
  /** CLUSTER_BACKUP_IMAGE: without it no backups are set up. */
  backupImage: string | undefined
  /**
   * DEBUG_VOLUME_STORAGE_CLASS and DEBUG_VOLUME_SIZE in the environment of its Deployment, if that is not there yet: the operator's own
   * chart (2.63.0) sets `default` and `128GiB`. Undefined for neither, so that the operator's own defaults count.
   */
  debugVolume: { storageClass: string; size: string } | undefined
  /** NO_DOWNTIME_STORAGE_EXPANSION */
  noDowntimeStorageExpansion: boolean
  webhook: WebhookTarget | undefined
  /** Take a database for bootstrapped without looking at its pods: for tests that need many of them and no more. */
  withoutPods: boolean
  /** Kubernetes Events on the CrateDB for what the operator logs about its handlers. */
  events: boolean
}

export const defaultOptions: OperatorOptions = {
  stepMs: 5,
  healthMs: 25,
  cronJobDelayMs: 3_600_000,
  backupImage: 'crate/cluster-backup:1.0.0',
  debugVolume: { storageClass: 'crate-standard', size: '64GiB' },
  noDowntimeStorageExpansion: false,
  webhook: undefined,
  withoutPods: false,
  events: true,
}

export const fieldManager = 'crate-operator'

/** What the operator's handlers work with. */
export type Operator = {
  world: World
  options: OperatorOptions
  databases: Databases
  faults: Faults
  webhooks: Webhooks
  /** What the environment of its Deployment says of heap-dump volumes. The real one reads it at its start, which a change of it brings about. */
  debugVolume(): { storageClass: string; size: string }
  /** Children by `namespace/name` of their CrateDB. */
  children: { pods: Index; statefulSets: Index; claims: Index; cronJobs: Index; jobs: Index }
  /** An object from the operator's copy of the cluster. */
  get(kind: StandInKind, namespace: string, name: string): KubernetesObject | undefined
  /** Creates what is not there yet, and leaves what is. */
  ensure(kind: StandInKind, draft: Draft, signal: AbortSignal): Promise<void>
  patch(
    kind: StandInKind,
    object: { metadata: { namespace?: string; name: string } },
    body: unknown,
    signal: AbortSignal,
  ): Promise<KubernetesObject | undefined>
  remove(kind: StandInKind, namespace: string, name: string, signal: AbortSignal): Promise<void>
}

export const keyOfDatabase = ({ metadata }: KubernetesObject): string => `${metadata.namespace}/${metadata.name}`
