import * as z from 'zod'
import { duration, fileToRead } from '../shared/fields.ts'
import { linkSection } from '../shared/link/index.ts'
import { logConfig } from '../shared/log-config.ts'
import { metricsConfig } from './metrics/config.ts'
import { componentsConfig, discoveryConfig } from './region/config.ts'
import { sparkplugConfig } from './sparkplug/config.ts'

const regionSection = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits and dashes, at most 63')
    .optional()
    .describe('Identifier of the region in the cloud'),
  name: z.string().max(200).optional().describe('Name for people'),
})

const clusterSection = z.strictObject({
  enabled: z.boolean().optional().describe('Whether there is a cluster to monitor; by default in a pod, and where kubeconfig is set'),
  kubeconfig: fileToRead().optional().describe('Kubeconfig to use instead of the service account of the pod'),
  namespace: z.string().default('skerry').describe("The monitor's own namespace, for its Lease and the number of its last session"),
  serviceAccountDir: z
    .string()
    .default('/var/run/secrets/kubernetes.io/serviceaccount')
    .describe('Folder with the token and the CA certificate of the service account'),
})

const checksSection = z.strictObject({
  file: z.string().optional().describe('YAML file with the checks; it is read again when it changes and on SIGHUP'),
  parallelism: z.int().min(1).max(1000).default(64).describe('Most checks that run at the same time'),
  allowExec: z.boolean().default(false).describe('Whether checks of kind exec may run programs of this machine; never in a pod'),
})

const leaseSection = z.strictObject({
  enabled: z
    .boolean()
    .optional()
    .describe('Whether replicas elect one that publishes and takes actions; by default with the service account of a pod'),
  name: z.string().default('skerry-monitor').describe('Name of the Lease'),
  duration: duration({ min: '1s', max: '10m' }).prefault('15s').describe('Time without renewal after which another replica takes over'),
  renewDeadline: duration({ min: '500ms', max: '10m' }).prefault('10s').describe('Time without renewal after which the leader steps down'),
  retryPeriod: duration({ min: '100ms', max: '1m' }).prefault('2s').describe('Pause between two attempts'),
})

/** The schema of the monitor's configuration, from which `--help` and the documentation are made. */
export const monitorConfig = z
  .strictObject({
    region: regionSection.prefault({}).describe('The region'),
    cluster: clusterSection.prefault({}).describe('The Kubernetes cluster, if there is one'),
    sparkplug: sparkplugConfig.optional().describe('The Sparkplug edge node; nothing is published when left out'),
    link: linkSection.prefault({}).describe('How much the edge node may send and receive, where its link is paid by the megabyte'),
    metrics: metricsConfig.prefault({}).describe('The port that Prometheus scrapes'),
    checks: checksSection.prefault({}).describe('The checks'),
    discovery: discoveryConfig.prefault({}).describe('Discovery of checks in the cluster'),
    components: componentsConfig.describe('Components of the region, besides hosts and databases'),
    lease: leaseSection.prefault({}).describe('Leader election'),
    dataDir: z
      .string()
      .default('/var/lib/skerry-monitor')
      .describe('Folder for the number of the last session where there is no Lease; STATE_DIRECTORY of systemd takes precedence'),
    log: logConfig,
    grace: duration({ min: '1s', max: '10m' }).prefault('15s').describe('Time limit for stopping; less than terminationGracePeriodSeconds'),
  })
  .superRefine(({ cluster, lease }, context) => {
    if (cluster.enabled === false && lease.enabled === true)
      context.addIssue({ code: 'custom', path: ['lease', 'enabled'], message: 'needs a cluster, but cluster.enabled is false' })
    const { duration, renewDeadline, retryPeriod } = lease
    if (duration % 1000 !== 0) context.addIssue({ code: 'custom', path: ['lease', 'duration'], message: 'must be whole seconds' })
    if (duration <= renewDeadline)
      context.addIssue({ code: 'custom', path: ['lease', 'renewDeadline'], message: 'must be shorter than lease.duration' })
    // The pause is up to 2.2 times as long for followers, and 1.2 times for the leader.
    if (renewDeadline <= retryPeriod * 1.2)
      context.addIssue({ code: 'custom', path: ['lease', 'retryPeriod'], message: 'must be well below lease.renewDeadline' })
  })

export type MonitorConfig = z.output<typeof monitorConfig>

/** The environment of the process. */
export type Host = {
  /** The name of the pod or of the machine: the holder of the Lease. */
  name: string
  serviceHost: string | undefined
  servicePort: string | undefined
  /** `STATE_DIRECTORY` of systemd. */
  stateDirectory: string | undefined
}

/** The optional switches of the configuration, decided for this environment. */
export type Placement = {
  hasCluster: boolean
  /** One of several replicas publishes. The cluster then keeps bdSeq, so that the next one continues it. */
  hasLease: boolean
  dataDir: string
}

/**
 * Decides the switches that were left out. A pod has a Lease, because it has siblings, at least while it is replaced. A monitor on a
 * machine of its own with a kubeconfig has none: it must keep publishing while the cluster is down.
 */
export function placementOf({ cluster, lease, dataDir }: MonitorConfig, { serviceHost, stateDirectory }: Host): Placement {
  const hasCluster = cluster.enabled ?? (cluster.kubeconfig !== undefined || serviceHost !== undefined)
  return {
    hasCluster,
    hasLease: hasCluster && (lease.enabled ?? cluster.kubeconfig === undefined),
    // systemd separates several folders by colons; ours is the first.
    dataDir: stateDirectory?.split(':')[0] || dataDir,
  }
}
