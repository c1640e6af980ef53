import * as z from 'zod'
import { duration } from '../../shared/fields.ts'
import { checkKinds } from '../checks/index.ts'

/** A component of the region, of Skerry or not: found by its label in any namespace. */
const component = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits and dashes, at most 63')
    .describe('Its name in checks and devices'),
  label: z
    .string()
    .regex(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/, 'must be a value of a label in Kubernetes')
    .optional()
    .describe('The label app.kubernetes.io/name of its Deployments and Services; its name when left out'),
  check: z
    .strictObject({
      kind: z.enum(['agent', 'cloudflared', 'prometheus', 'http']).describe('Kind of the check'),
      ports: z
        .array(z.union([z.int().min(1).max(65_535), z.string().min(1).max(63)]))
        .min(1)
        .describe('Numbers or names of ports: the first that the Service has is checked'),
      path: z
        .string()
        .regex(/^\/[^\s#]*$/, 'must start with / and contain neither spaces nor #')
        .default('/')
        .describe('Path of an http check, or path prefix of the other kinds'),
    })
    .optional()
    .describe('How its Services are checked; without it they are not checked'),
})

/** The components that are looked for by default. A missing one costs nothing. */
const usualComponents: z.input<typeof component>[] = [
  { name: 'agent', label: 'skerry-agent', check: { kind: 'agent', ports: ['admin', 9808] } },
  { name: 'monitor', label: 'skerry-monitor' },
  { name: 'cloudflared', check: { kind: 'cloudflared', ports: ['metrics', 2000] } },
  { name: 'crate-operator' },
  { name: 'cert-manager' },
  { name: 'ingress-nginx' },
  { name: 'traefik' },
  { name: 'prometheus', check: { kind: 'prometheus', ports: ['http', 'http-web', 9090] } },
  { name: 'grafana', check: { kind: 'http', ports: ['service', 'http-web', 3000], path: '/api/health' } },
]

/** The section `components` of the monitor's configuration. */
export const componentsConfig = z
  .array(component)
  .max(100)
  .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'must not contain two of the same name')
  .prefault(usualComponents)

/** A configured component. */
export type ComponentConfig = z.output<typeof component>

const databaseUrl = z
  .string()
  .refine((text) => text.includes('{database}') && text.includes('{namespace}'), 'must contain {namespace} and {database}')
  .refine(
    (text) => checkKinds.cratedb.options.shape.url.safeParse(text.replaceAll(/\{(namespace|database)\}/g, 'x')).success,
    'must be an http or https URL without a user',
  )

/** The section `discovery` of the monitor's configuration. */
export const discoveryConfig = z.strictObject({
  kubernetes: z.boolean().default(true).describe('Check the API server and its hosts'),
  kubelets: z
    .boolean()
    .default(false)
    .describe('Check the kubelet of each host through the API server; needs permission to get nodes/proxy'),
  databases: z.boolean().default(true).describe('Check each database, as its user system'),
  volumes: z.boolean().default(true).describe('Check how full the volumes of each database are'),
  components: z.boolean().default(true).describe('Check the Services of components that have a check'),
  sparkplugNodes: z.boolean().default(true).describe('Check each watched edge node'),
  databaseUrl: databaseUrl
    .default('http://crate-discovery-{database}.{namespace}.svc.cluster.local:4200/_sql')
    .describe('SQL endpoint of a database over HTTP; https is used if it has a certificate'),
  clusterDomain: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, 'must be a domain, such as cluster.local')
    .default('cluster.local')
    .describe('DNS domain of the cluster'),
  interval: duration({ min: '1s', max: '1d' }).prefault('30s').describe('From the start of a check to its next start'),
  volumeInterval: duration({ min: '1s', max: '1d' }).prefault('5m').describe('The same for checks of volumes'),
  timeout: duration({ min: '100ms', max: '10m' }).prefault('10s').describe('Time limit of one run'),
})

/** The validated section. */
export type DiscoveryConfig = z.output<typeof discoveryConfig>
