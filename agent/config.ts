import * as z from 'zod'
import { duration } from '../shared/fields.ts'
import { identityConfig } from './api/identity/config.ts'
import { limitsConfig } from './api/limits.ts'
import { storageQuantity } from './resources/quantity.ts'
import { tunnelFaults, tunnelSection } from './tunnel/settings.ts'

const port = (usual: number) => z.int().min(0).max(65_535).default(usual)

const regionSection = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits and dashes, at most 63')
    .describe('What the cloud calls this region'),
  name: z.string().max(200).optional().describe('What people call it'),
})

const apiSection = z.strictObject({
  host: z.string().default('0.0.0.0').describe('Address to listen on'),
  port: port(8443).describe('Port of the HTTPS API; 0 takes any free one'),
  tls: z
    .strictObject({
      certFile: z.string().describe('PEM certificate chain; a new one is taken up while running'),
      keyFile: z.string().describe('PEM key of the certificate'),
      clientCaFile: z.string().optional().describe('PEM authorities whose client certificates are accepted as credentials'),
    })
    .describe('Certificate of the API'),
  limits: limitsConfig.prefault({}).describe('How much one caller may ask for'),
})

const adminSection = z.strictObject({
  host: z.string().default('0.0.0.0').describe('Address to listen on'),
  port: port(9808).describe('Port of health and metrics over plain HTTP; never part of the tunnel'),
})

const clusterSection = z.strictObject({
  kubeconfig: z.string().optional().describe('Kubeconfig to use instead of the service account of the pod'),
  namespace: z.string().default('skerry').describe("The agent's own namespace: its operations, Lease and Secrets"),
  serviceAccountDir: z
    .string()
    .default('/var/run/secrets/kubernetes.io/serviceaccount')
    .describe('Where the token and the authority of the service account are'),
})

const operationsSection = z.strictObject({
  parallelism: z.int().min(1).max(256).default(16).describe('Targets worked on at once'),
  recheck: duration({ min: '100ms', max: '10m' })
    .prefault('15s')
    .describe('How often a waiting operation is looked at when nothing is heard'),
  retention: duration({ min: '1m' }).prefault('30d').describe('How long ended operations are kept'),
  keep: z.int().min(1).max(1_000_000).default(10_000).describe('Ended operations kept at most'),
  timeouts: z
    .strictObject({
      create: duration({ min: '1s' }).prefault('45m').describe('Creation of a project or a database'),
      change: duration({ min: '1s' }).prefault('6h').describe('Change of a database: scaling and restarts move data'),
      delete: duration({ min: '1s' }).prefault('1h').describe('Deletion'),
      restore: duration({ min: '1s' }).prefault('24h').describe('Restore of a snapshot'),
      password: duration({ min: '1s' }).prefault('30m').describe('Change of a password'),
    })
    .prefault({})
    .describe('How long operations may take from their start'),
})

const databasesSection = z.strictObject({
  imageRegistry: z.string().default('crate').describe("Repository of CrateDB's image"),
  sqlUrl: z
    .string()
    .default('http://crate-discovery-{database}.{namespace}.svc.cluster.local:4200/_sql')
    .describe('Where a database answers SQL over HTTP'),
  heapDumpVolume: storageQuantity
    .default('64Gi')
    .describe(
      "Size of each node's heap-dump volume, which counts against quotas, where the Crate Operator's Deployment does not tell it: there is none, or its DEBUG_VOLUME_SIZE comes from a Secret",
    ),
  scrapeNamespaces: z.array(z.string()).default(['monitoring', 'skerry']).describe('Namespaces from which metrics may be scraped'),
  egressPorts: z.array(z.int().min(1).max(65_535)).default([]).describe('Ports besides 443 to which backups may go'),
  cloudMetadata: z.boolean().default(false).describe("Let nodes ask the cloud's metadata service for their zone"),
})

const crateOperatorSection = z.strictObject({
  namespace: z.string().default('crate-operator').describe('Namespace of the Crate Operator'),
  deployment: z.string().default('crate-operator').describe('Name of its Deployment'),
})

const leaseSection = z.strictObject({
  name: z.string().default('skerry-agent').describe('Name of the Lease that says who acts'),
  duration: duration({ min: '1s', max: '10m' }).prefault('15s').describe('After this time without renewal another replica takes over'),
  renewDeadline: duration({ min: '500ms', max: '10m' }).prefault('10s').describe('After this time without renewal the leader steps down'),
  retryPeriod: duration({ min: '100ms', max: '1m' }).prefault('2s').describe('Pause between two attempts'),
})

/** The agent's configuration: what is parsed, what `--help` prints and what the documentation shows. */
export const agentConfig = z
  .strictObject({
    region: regionSection.describe('Who this region is'),
    api: apiSection.describe('The HTTPS API that the tunnel leads to'),
    admin: adminSection.prefault({}).describe('Health and metrics'),
    cluster: clusterSection.prefault({}).describe('The Kubernetes cluster'),
    identity: identityConfig.prefault({}).describe('Who may call the API'),
    operations: operationsSection.prefault({}).describe('How requests are carried out'),
    databases: databasesSection.prefault({}).describe('What all databases have in common'),
    crateOperator: crateOperatorSection.prefault({}).describe('Where the Crate Operator runs'),
    tunnel: tunnelSection.optional().describe('The tunnel that leads to the agent; when left out, cloudflared is none of its business'),
    lease: leaseSection.prefault({}).describe('Leader election'),
    log: z
      .strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least level written') })
      .prefault({})
      .describe('Log on standard output, JSON lines'),
    grace: duration({ min: '1s', max: '10m' }).prefault('25s').describe('Time to stop in; less than terminationGracePeriodSeconds'),
  })
  .superRefine(({ region, tunnel }, context) => {
    for (const fault of tunnel === undefined ? [] : tunnelFaults(tunnel, region.id)) context.addIssue({ code: 'custom', ...fault })
  })

export type AgentConfig = z.output<typeof agentConfig>
