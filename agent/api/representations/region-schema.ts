import * as z from 'zod'
import { cloudflaredSchema, configurationStates, onDemandSchema } from '../../tunnel/representation.ts'
import { clockSchema } from './clock.ts'
import { databaseStateSchema } from './database-states.ts'
import { exportSchema } from './export.ts'
import { linkSchema } from './link.ts'
import { exampleHash } from './operation.ts'
import { regionBlockerSchema } from './region-blockers.ts'
import { retainedSchema } from './retained-sum.ts'

const amounts = { cpu: z.number().describe('Cores').meta({ example: 24 }), memory: z.string().meta({ example: '96Gi' }) }
const storage = z.string().meta({ example: '2Ti' })
const count = z.int().meta({ example: 1 })
const none = z.int().meta({ example: 0 })
const hostsBy = z.record(z.string(), z.int()).describe('How many hosts have it')
const moment = z.iso.datetime().meta({ example: '2026-01-31T12:00:00Z' })

const componentSchema = z
  .object({
    state: z
      .enum(['current', 'outdated', 'newer', 'foreign', 'missing', 'retired'])
      .describe(
        '`foreign`: not installed by its chart, so that versions cannot be compared. `newer`: than what this agent knows. `retired`: nothing needs it any more',
      ),
    have: z.string().optional().describe('Version of the chart'),
    want: z.string().optional().describe('Version of the chart that this release of Skerry installs'),
    version: z.string().optional().describe('Of the program'),
    namespace: z.string().optional(),
    ready: z.boolean().optional(),
  })
  .meta({ id: 'Component', description: 'A part of the stack: what there is, and what there should be.' })

export const regionSchema = z
  .object({
    id: z.string().meta({ example: 'harbour-1' }),
    name: z.string().nullable().meta({ example: 'Harbour' }),
    tags: z
      .record(z.string(), z.string())
      .optional()
      .describe('What the site says about the region; absent without a cloud')
      .meta({ example: { coast: 'west' } }),
    agent: z.object({ version: z.string().meta({ example: '0.1.0' }) }),
    kubernetes: z.object({ version: z.string().nullable().describe('null until the first read').meta({ example: 'v1.34.1' }) }),
    hosts: z.array(
      z.object({
        hostname: z.string().meta({ example: 'node-1' }),
        control_plane: z.boolean(),
        k8s_version: z.string().meta({ example: 'v1.34.1' }),
        arch: z.string().meta({ example: 'amd64' }),
        os: z.string().meta({ example: 'linux' }),
        os_version: z.string().meta({ example: 'Debian GNU/Linux 12 (bookworm)' }),
        kernel_version: z.string().meta({ example: '6.1.0-28-amd64' }),
        container_runtime: z.string().meta({ example: 'containerd://1.7.24' }),
        ready: z.boolean().meta({ example: true }),
        pressure: z
          .array(z.string())
          .optional()
          .describe('Conditions that are true although they should not be; absent if there are none')
          .meta({ example: ['MemoryPressure'] }),
        schedulable: z.boolean().describe('New pods may be placed on it').meta({ example: true }),
        specialised: z
          .object({ key: z.string(), value: z.string(), effect: z.string() })
          .nullable()
          .describe('The taint that reserves it for some pods; null on an ordinary host')
          .meta({ example: null }),
      }),
    ),
    storageClasses: z.array(
      z.object({
        name: z.string().meta({ example: 'crate-premium' }),
        provisioner: z.string().meta({ example: 'ebs.csi.aws.com' }),
        expandable: z.boolean().describe('Its volumes can grow').meta({ example: true }),
        reclaims: z.boolean().describe('Its volumes are deleted with their claims').meta({ example: true }),
        isDefault: z.boolean(),
      }),
    ),
    capacity: z.object({
      allocatable: z
        .object({ ...amounts, hosts: z.int().meta({ example: 3 }) })
        .describe('What pods may request on hosts that are ready and not reserved'),
      requested: z
        .object({ ...amounts, storage, nodes: z.int().meta({ example: 3 }), databases: count })
        .describe('What databases request, without heap-dump volumes'),
      promised: z
        .object({
          ...amounts,
          storage,
          databases: count,
          open: z.object({ cpu: none, memory: none, storage: none, databases: none }).describe('Projects without such a limit'),
        })
        .describe("Sum of the projects' quotas"),
    }),
    databases: count,
    databaseStates: z
      .record(z.string(), databaseStateSchema)
      .describe('By `PROJECT/ID`, at most 2,000')
      .meta({ example: { 'harbour/tidal-gauge': { phase: 'Running', health: 'GREEN', ready: 3, desired: 3, version: '5.10.1' } } }),
    backups: z
      .object({
        ...{ scheduled: count, unscheduled: count },
        failing: count.describe('Whose last backup by Skerry failed. What became of those by the Crate Operator is not known'),
      })
      .describe(
        'Databases that are backed up at times of their own, by Skerry or by the Crate Operator, and those that are not. `backups` that nothing takes do not count',
      )
      .meta({ example: { scheduled: 7, unscheduled: 3, failing: 0 } }),
    projects: count,
    retained: retainedSchema.optional().describe('What deleted databases still hold; absent where they cannot be recorded'),
    leader: z
      .object({
        state: z.enum(['leads', 'nobody', 'unknown']).describe('Whether a replica carries out operations'),
        holder: z.string().nullable().describe('The holder of the Lease').meta({ example: 'skerry-agent-7d9f8-x2x4z_1a2b3c4d' }),
        trouble: z.string().nullable().describe('Why no replica leads, or why that is unknown').meta({ example: null }),
      })
      .describe('The replica of the agent that carries out operations'),
    operator: z
      .object({
        state: z.enum(['running', 'not-ready', 'scaled-down', 'missing', 'unknown']),
        version: z.string().nullable().meta({ example: '2.64.0' }),
        backupImage: z
          .enum(['set', 'missing', 'unknown'])
          .describe(
            'Whether it has an image for backups: without it, nothing takes those of databases that are created. `unknown`: its variable comes from a ConfigMap or a Secret, or it is not there',
          ),
        namespace: z.string().meta({ example: 'crate-operator' }),
        deployment: z.string().meta({ example: 'crate-operator' }),
      })
      .describe('The Crate Operator'),
    tunnel: z
      .object({
        hostname: z.string().describe('The public hostname of the agent').meta({ example: 'harbour-1.example.org' }),
        alsoExposed: z.array(z.string()).describe('The other hostnames that are reachable from the internet').meta({ example: [] }),
        cloudflared: cloudflaredSchema,
        onDemand: onDemandSchema,
        configuration: configurationStates,
        lastError: z.string().nullable().describe('Why the last attempt to configure cloudflared failed').meta({ example: null }),
      })
      .nullable()
      .describe('null if none is configured; see /tunnel for details'),
    export: exportSchema.optional(),
    link: linkSchema.optional().describe('What the links to the outside carry, and how much they may'),
    components: z
      .record(z.string(), componentSchema)
      .optional()
      .describe('What the installer installs, by name. Recognised by the labels of Helm charts')
      .meta({
        example: {
          'cert-manager': {
            state: 'current',
            have: 'v1.21.1',
            want: 'v1.21.1',
            version: 'v1.21.1',
            namespace: 'cert-manager',
            ready: true,
          },
        },
      }),
    platform: z
      .object({
        kubelets: hostsBy.meta({ example: { 'v1.34.1': 3 } }),
        containerRuntimes: hostsBy.meta({ example: { 'containerd://1.7.24': 3 } }),
        csiDrivers: z.array(z.string()).meta({ example: ['ebs.csi.aws.com'] }),
        ingressClasses: z.array(z.object({ name: z.string(), controller: z.string() })).meta({ example: [] }),
        defaultStorageClass: z.string().optional().meta({ example: 'crate-premium' }),
        defaultIngressClass: z.string().optional().meta({ example: 'nginx' }),
      })
      .optional()
      .describe('What the cluster offers besides'),
    sealing: z
      .object({
        certificate: z.string().describe('PEM').meta({ example: '-----BEGIN CERTIFICATE-----…' }),
        fingerprint: z
          .string()
          .describe('SHA-256 of the certificate')
          .meta({ example: '8f02e6d4b1c7'.repeat(6).slice(0, 64) }),
        expires: moment,
      })
      .optional()
      .describe('What secrets for this cluster are sealed with. Fetched once a day from the controller of Sealed Secrets'),
    blockers: z
      .array(regionBlockerSchema)
      .describe('What stands in the way of operations and projects, at most 50; in full at their targets')
      .meta({ example: [] }),
    ledger: z
      .object({ sequence: z.int().min(0).meta({ example: 117 }), hash: z.string().meta({ example: exampleHash('4c') }) })
      .optional()
      .describe('The newest entry of the ledger: the last operation that was accepted'),
    amrc: z
      .object({
        hosts: z.array(
          z.object({
            hostname: z.string(),
            arch: z.string(),
            k8s_version: z.string(),
            os_version: z.string(),
            control_plane: z.boolean(),
            ready: z.boolean(),
            specialised: z.string().optional().describe('The value of the taint factoryplus.app.amrc.co.uk/specialised'),
          }),
        ),
        kubeseal_cert: z.string().optional(),
      })
      .optional()
      .describe('The same hosts and certificate in the shape that the AMRC manager of Factory+ reads. Absent with more than 100 hosts')
      .meta({
        example: {
          hosts: [
            {
              hostname: 'node-1',
              arch: 'amd64',
              k8s_version: 'v1.34.1',
              os_version: 'Debian GNU/Linux 12 (bookworm)',
              control_plane: true,
              ready: true,
            },
          ],
        },
      }),
    clock: clockSchema,
    leftOut: z
      .record(z.string(), z.int())
      .optional()
      .describe('How many entries are not in the document, by field: it has at most 500 hosts, 2,000 databases and 256 KiB')
      .meta({ example: { databaseStates: 340 } }),
    parts: z
      .record(
        z.string(),
        z.object({
          observedAt: moment.describe('When the agent last heard from the cluster about it, to the minute'),
          stale: z.object({ since: moment, reason: z.string() }).optional().describe('Why it may be out of date'),
        }),
      )
      .describe('The age of each field, by its name')
      .meta({ example: { hosts: { observedAt: '2026-01-31T12:00:00Z' } } }),
  })
  .meta({ id: 'Region', description: 'The region, and how much of it is in use.' })

export type RegionDocument = z.input<typeof regionSchema>
