import type { StandInKind } from '../../client/kinds.ts'
import type { KubernetesObject } from '../../client/objects.ts'
import type { Databases } from '../databases.ts'
import type { Index } from '../index-by.ts'
import type { World } from '../world.ts'
import type { Faults } from './faults.ts'
import type { Draft } from './objects.ts'
import type { Webhooks, WebhookTarget } from './webhooks.ts'

/** Options of the stand-in, named as in the real operator's configuration where it has them. */
export type OperatorOptions = {
  /** Its release, in the image of its Deployment, unless that exists: since 2.64.0, it restores from the address of a store. */
  version: string
  /** Pause between two passes over one object. The real operator's are 15 to 60 seconds. */
  stepMs: number
  /** Time from a change of an object to the check of its health. */
  healthMs: number
  /** Time from the end of an upgrade or resume until the CronJob resumes; an hour in reality. */
  cronJobDelayMs: number
  /** CLUSTER_BACKUP_IMAGE in the environment of its Deployment, unless that exists: without it, no backups are set up. */
  backupImage: string | undefined
  /**
   * DEBUG_VOLUME_STORAGE_CLASS and DEBUG_VOLUME_SIZE in the environment of its Deployment, unless that exists: the operator's own
   * chart (2.63.0) sets `default` and `128GiB`. Undefined sets neither, so that the operator's own defaults apply.
   */
  debugVolume: { storageClass: string; size: string } | undefined
  /** NO_DOWNTIME_STORAGE_EXPANSION */
  noDowntimeStorageExpansion: boolean
  webhook: WebhookTarget | undefined
  /** Treats databases as bootstrapped without checking their pods, for tests that only need many of them. */
  withoutPods: boolean
  /** Posts the operator's log lines about handlers as Kubernetes Events on the CrateDB. */
  events: boolean
}

export const defaultOptions: OperatorOptions = {
  version: '2.63.0',
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

/** Shared by the operator's handlers. */
export type Operator = {
  world: World
  options: OperatorOptions
  databases: Databases
  faults: Faults
  webhooks: Webhooks
  /** The heap-dump settings in its Deployment's environment. The real one reads them at its start; changing them restarts it. */
  debugVolume(): { storageClass: string; size: string }
  /** The image for backups in its Deployment's environment. */
  backupImage(): string | undefined
  /** Its release, by the image of its Deployment: another image is another operator. */
  version(): string
  /** Children by `namespace/name` of their CrateDB. */
  children: { pods: Index; statefulSets: Index; claims: Index; cronJobs: Index; jobs: Index }
  /** An object from the operator's copy of the cluster. */
  get(kind: StandInKind, namespace: string, name: string): KubernetesObject | undefined
  /** Creates missing objects, and leaves existing ones as they are. */
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

/** Whether the operator's release is that one or later. */
export function isSince({ version }: Pick<Operator, 'version'>, [major, minor]: [number, number]): boolean {
  const [ours = 0, then = 0] = version().split('.').map(Number)
  return ours > major || (ours === major && then >= minor)
}
