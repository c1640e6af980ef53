import * as z from 'zod'
import { duration, fileToRead } from '../shared/fields.ts'
import { linkSection } from '../shared/link/index.ts'
import { logConfig } from '../shared/log-config.ts'
import { identityConfig } from './api/identity/config.ts'
import { limitsConfig } from './api/limits.ts'
import { cloudSection } from './cloud/settings.ts'
import { recoverySection } from './export/settings.ts'
import { metadataSection } from './resources/allowed-keys.ts'
import { objectName } from './resources/identifiers.ts'
import { storageQuantity } from './resources/quantity.ts'
import { tunnelFaults, tunnelSection } from './tunnel/settings.ts'

const port = (usual: number) => z.int().min(0).max(65_535).default(usual)

const regionSection = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits and dashes, at most 63')
    .describe('Name of this region in the cloud'),
  name: z.string().max(200).optional().describe('Name of this region for people'),
})

const apiSection = z.strictObject({
  host: z.string().default('0.0.0.0').describe('Address to listen on'),
  port: port(8443).describe('Port of the HTTPS API; 0 takes any free one'),
  tls: z
    .strictObject({
      certFile: fileToRead().describe('PEM certificate chain; a new one takes effect without a restart'),
      keyFile: fileToRead().describe('PEM key of the certificate'),
      clientCaFile: fileToRead()
        .optional()
        .describe('PEM CA certificates; client certificates that they signed are accepted as credentials'),
      clientCrlFile: fileToRead()
        .optional()
        .describe(
          'Certificate revocation lists of these CAs, PEM or DER, one for each CA: without one that is valid, no certificate of a CA is accepted. ' +
            'A new file takes effect without a restart',
        ),
    })
    .refine(({ clientCaFile, clientCrlFile }) => clientCrlFile === undefined || clientCaFile !== undefined, {
      path: ['clientCrlFile'],
      message: 'needs clientCaFile',
    })
    .describe('Certificate of the API'),
  limits: limitsConfig.prefault({}).describe('Rate limits of one caller'),
})

const adminSection = z.strictObject({
  host: z.string().default('0.0.0.0').describe('Address to listen on'),
  port: port(9808).describe('Port of health and metrics over plain HTTP; never exposed by the tunnel'),
})

const clusterSection = z.strictObject({
  kubeconfig: fileToRead()
    .optional()
    .describe('Kubeconfig to use instead of the service account of the pod; outside a pod, KUBECONFIG or ~/.kube/config if not set'),
  namespace: z.string().default('skerry').describe("The agent's own namespace: its operations, Lease and Secrets"),
  serviceAccount: objectName
    .default('skerry-agent')
    .describe("The agent's service account, in that namespace: it gets rights in the namespaces of projects"),
  serviceAccountDir: z
    .string()
    .default('/var/run/secrets/kubernetes.io/serviceaccount')
    .describe('Folder with the token and the CA certificate of the service account'),
})

const monitorSection = z.strictObject({
  serviceAccount: objectName.default('skerry-monitor').describe("The monitor's service account, in the agent's namespace"),
  databasePasswords: z
    .boolean()
    .default(true)
    .describe('Whether it may read the password of the user "system" of each database in a project, which its checks of databases need'),
})

const operationsSection = z.strictObject({
  parallelism: z.int().min(1).max(256).default(16).describe('Targets worked on at once'),
  recheck: duration({ min: '100ms', max: '10m' })
    .prefault('15s')
    .describe('Interval at which a waiting operation is checked without an event'),
  retention: duration({ min: '1m' }).prefault('30d').describe('How long ended operations are kept'),
  keep: z.int().min(1).max(1_000_000).default(10_000).describe('Maximum number of ended operations that are kept'),
  timeouts: z
    .strictObject({
      create: duration({ min: '1s' }).prefault('45m').describe('Creation of a project or a database'),
      change: duration({ min: '1s' }).prefault('6h').describe('Change of a database: scaling and restarts move data'),
      delete: duration({ min: '1s' }).prefault('1h').describe('Deletion'),
      restore: duration({ min: '1s' }).prefault('24h').describe('Restore of a snapshot'),
      password: duration({ min: '1s' }).prefault('30m').describe('Change of a password'),
      backup: duration({ min: '1s' }).prefault('24h').describe('Backup of a database by Skerry'),
    })
    .prefault({})
    .describe('Timeouts of operations, from their start'),
})

const databasesSection = z.strictObject({
  imageRegistry: z.string().default('crate').describe("Repository of CrateDB's image"),
  sqlUrl: z
    .string()
    .default('http://crate-discovery-{database}.{namespace}.svc.cluster.local:4200/_sql')
    .describe('URL at which a database answers SQL over HTTP; with ssl of the database, over HTTPS'),
  heapDumpVolume: storageQuantity
    .default('64Gi')
    .describe(
      "Size of each node's heap-dump volume, which counts against quotas; used only if the Crate Operator has no Deployment, or takes DEBUG_VOLUME_SIZE from a ConfigMap or Secret",
    ),
  scrapeNamespaces: z.array(z.string()).default(['monitoring', 'skerry']).describe('Namespaces that may scrape metrics'),
  egressPorts: z
    .array(z.int().min(1).max(65_535))
    .default([])
    .describe('Ports besides 443 that backups may connect to, and the agent to try their stores'),
  backupEndpoints: z
    .strictObject({
      allowed: z
        .array(
          z.union(
            [z.cidrv4(), z.cidrv6(), z.string().regex(/^\.?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/)],
            'must be a host, ".domain" or network',
          ),
        )
        .default([])
        .describe('Hosts, domains such as ".storage.svc" and networks inside the cluster that backups and restores may use as endpoints'),
      clusterNetworks: z
        .array(z.union([z.cidrv4(), z.cidrv6()], 'must be a network such as 10.96.0.0/12'))
        .default([])
        .describe(
          'Networks of pods and Services, in which endpoints are refused, besides the pod networks of the nodes and the API server',
        ),
    })
    .prefault({})
    .describe('Endpoints inside the cluster: refused unless they are allowed here'),
  cloudMetadata: z.boolean().default(false).describe("Whether nodes may ask the cloud provider's metadata service for their zone"),
})

const crateOperatorSection = z.strictObject({
  namespace: z.string().default('crate-operator').describe('Namespace of the Crate Operator'),
  deployment: z.string().default('crate-operator').describe('Name of its Deployment'),
  version: z
    .string()
    .regex(/^\d+\.\d+\.\d+$/, 'must be a release such as "2.64.0"')
    .optional()
    .describe("Its release, if the tag of its image does not say it: a digest, or `latest`. It takes precedence over the image's tag"),
})

const leaseSection = z.strictObject({
  name: z.string().default('skerry-agent').describe('Name of the Lease that elects the leader'),
  duration: duration({ min: '1s', max: '10m' }).prefault('15s').describe('Time without a renewal after which another replica takes over'),
  renewDeadline: duration({ min: '500ms', max: '10m' })
    .prefault('10s')
    .describe('Time without a renewal after which the leader steps down'),
  retryPeriod: duration({ min: '100ms', max: '1m' }).prefault('2s').describe('Pause between two attempts to acquire or renew'),
})

/** The agent's configuration. Parsing, `--help` and the documentation derive from it. */
export const agentConfig = z
  .strictObject({
    region: regionSection.describe('Identity of this region'),
    api: apiSection.describe('The HTTPS API, to which the tunnel leads'),
    admin: adminSection.prefault({}).describe('Health and metrics'),
    cluster: clusterSection.prefault({}).describe('The Kubernetes cluster'),
    identity: identityConfig.prefault({}).describe('Who may call the API'),
    operations: operationsSection.prefault({}).describe('How requests are carried out'),
    databases: databasesSection.prefault({}).describe('Settings of all databases'),
    metadata: metadataSection.prefault({}).describe('Labels and annotations that requests may give to projects and databases'),
    crateOperator: crateOperatorSection.prefault({}).describe('Where the Crate Operator runs'),
    tunnel: tunnelSection
      .optional()
      .describe('The tunnel that leads to the agent; without this section the agent does not manage cloudflared'),
    cloud: cloudSection.optional().describe('The cloud that the region joins; without this section it tells no cloud anything'),
    link: linkSection.prefault({}).describe('How much the agent may send and receive, where its link is paid by the megabyte'),
    recovery: recoverySection.prefault({}).describe('What the region can be made again from, and how it is made again'),
    monitor: monitorSection.prefault({}).describe('The monitor that runs beside the agent'),
    lease: leaseSection.prefault({}).describe('Leader election'),
    log: logConfig,
    grace: duration({ min: '1s', max: '10m' })
      .prefault('25s')
      .describe('Time for an orderly stop; less than terminationGracePeriodSeconds'),
  })
  .superRefine(({ region, tunnel, cloud }, context) => {
    if (tunnel?.onDemand !== undefined && cloud === undefined)
      context.addIssue({
        code: 'custom',
        path: ['tunnel', 'onDemand'],
        message: 'needs the section cloud: nobody else asks for the tunnel',
      })
    for (const fault of tunnel === undefined ? [] : tunnelFaults(tunnel, region.id)) context.addIssue({ code: 'custom', ...fault })
  })

export type AgentConfig = z.output<typeof agentConfig>
