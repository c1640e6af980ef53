import * as z from 'zod'
import { duration } from '../shared/fields.ts'
import { metricsConfig } from './metrics/config.ts'
import { componentsConfig, discoveryConfig } from './region/config.ts'
import { sparkplugConfig } from './sparkplug/config.ts'

const regionSection = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits and dashes, at most 63')
    .optional()
    .describe('What the cloud calls this region'),
  name: z.string().max(200).optional().describe('What people call it'),
})

const clusterSection = z.strictObject({
  enabled: z
    .boolean()
    .optional()
    .describe('Whether there is a cluster to look at; when left out, yes in a pod and where a kubeconfig is named'),
  kubeconfig: z.string().optional().describe('Kubeconfig to use instead of the service account of the pod'),
  namespace: z.string().default('skerry').describe("The monitor's own namespace: its Lease and the number of its last session"),
  serviceAccountDir: z
    .string()
    .default('/var/run/secrets/kubernetes.io/serviceaccount')
    .describe('Where the token and the authority of the service account are'),
})

const checksSection = z.strictObject({
  file: z.string().optional().describe('YAML file with the checks, read again when it changes and on SIGHUP'),
  parallelism: z.int().min(1).max(1000).default(64).describe('Checks that run at the same time, at most'),
})

const leaseSection = z.strictObject({
  enabled: z
    .boolean()
    .optional()
    .describe('Whether replicas agree on one that publishes and acts; when left out, yes with the service account of a pod'),
  name: z.string().default('skerry-monitor').describe('Name of the Lease that says who publishes'),
  duration: duration({ min: '1s', max: '10m' }).prefault('15s').describe('After this time without renewal another replica takes over'),
  renewDeadline: duration({ min: '500ms', max: '10m' }).prefault('10s').describe('After this time without renewal the leader steps down'),
  retryPeriod: duration({ min: '100ms', max: '1m' }).prefault('2s').describe('Pause between two attempts'),
})

/** The monitor's configuration: what is parsed, what `--help` prints and what the documentation shows. */
export const monitorConfig = z
  .strictObject({
    region: regionSection.prefault({}).describe('Who this region is'),
    cluster: clusterSection.prefault({}).describe('The Kubernetes cluster, if there is one'),
    sparkplug: sparkplugConfig.optional().describe('The edge node that the monitor is; nothing is published when left out'),
    metrics: metricsConfig.prefault({}).describe('The port that Prometheus scrapes'),
    checks: checksSection.prefault({}).describe('What is checked'),
    discovery: discoveryConfig.prefault({}).describe('Which checks are found in the cluster'),
    components: componentsConfig.describe('What the region consists of, besides hosts and databases'),
    lease: leaseSection.prefault({}).describe('Leader election'),
    dataDir: z
      .string()
      .default('/var/lib/skerry-monitor')
      .describe('Where the number of the last session is kept when there is no Lease; systemd sets it by STATE_DIRECTORY'),
    log: z
      .strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least level written') })
      .prefault({})
      .describe('Log on standard output, JSON lines'),
    grace: duration({ min: '1s', max: '10m' }).prefault('15s').describe('Time to stop in; less than terminationGracePeriodSeconds'),
  })
  .superRefine(({ cluster, lease }, context) => {
    if (cluster.enabled === false && lease.enabled === true)
      context.addIssue({ code: 'custom', path: ['lease', 'enabled'], message: 'needs a cluster, and cluster.enabled is false' })
    const { duration, renewDeadline, retryPeriod } = lease
    if (duration % 1000 !== 0) context.addIssue({ code: 'custom', path: ['lease', 'duration'], message: 'must be whole seconds' })
    if (duration <= renewDeadline)
      context.addIssue({ code: 'custom', path: ['lease', 'renewDeadline'], message: 'must be shorter than lease.duration' })
    // The pause is up to 2.2 times as long for those who wait, 1.2 times for the leader.
    if (renewDeadline <= retryPeriod * 1.2)
      context.addIssue({ code: 'custom', path: ['lease', 'retryPeriod'], message: 'must be well below lease.renewDeadline' })
  })

export type MonitorConfig = z.output<typeof monitorConfig>

/** What the process finds in its environment. */
export type Host = {
  /** The name of the pod or of the machine: the holder of the Lease. */
  name: string
  serviceHost: string | undefined
  servicePort: string | undefined
  /** `STATE_DIRECTORY` of systemd. */
  stateDirectory: string | undefined
}

/** How the monitor is placed: what the optional switches of the configuration come to here. */
export type Placement = {
  hasCluster: boolean
  /** One of several replicas publishes. Then bdSeq is kept in the cluster, so that the next one counts on. */
  hasLease: boolean
  dataDir: string
}

/**
 * Decides what was left out. A pod has a Lease, because it has siblings, or will have one while it is replaced. A monitor on a machine
 * of its own with a kubeconfig has none: it must go on publishing when the cluster is away.
 */
export function placementOf({ cluster, lease, dataDir }: MonitorConfig, { serviceHost, stateDirectory }: Host): Placement {
  const hasCluster = cluster.enabled ?? (cluster.kubeconfig !== undefined || serviceHost !== undefined)
  return {
    hasCluster,
    hasLease: hasCluster && (lease.enabled ?? cluster.kubeconfig === undefined),
    // With several folders systemd separates them by colons; ours is the first.
    dataDir: stateDirectory?.split(':')[0] || dataDir,
  }
}
