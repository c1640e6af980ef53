import * as z from 'zod'
import { tokenList } from '../../agent/api/identity/config.ts'
import { agentConfig } from '../../agent/config.ts'
import { checkKinds } from '../../monitor/checks/index.ts'
import { monitorConfig } from '../../monitor/config.ts'
import { fileFields } from '../../monitor/prober/check-fields.ts'
import { linkProfiles } from '../../shared/link/index.ts'

// The schema of the chart's values. Helm checks the values against it before it renders anything. It has no defaults: those are in
// values.yaml, where people read them.

const nameOf = (what: string) =>
  z
    .string()
    .regex(/^$|^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/)
    .describe(what)
const name = (what: string) =>
  z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/)
    .describe(what)
const namespace = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
const port = z.int().min(1).max(65_535)
const quantity = z.union([z.string().regex(/^\d+(\.\d+)?(m|[kMGTPE]|[KMGTPE]i)?$/), z.number().min(0)])
const texts = z.record(z.string(), z.string())
const hostname = z.string().regex(/^$|^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
const proxyUrl = z.string().regex(/^$|^https?:\/\/[^/\s]+\/?$/)
/** Parts of Kubernetes' own API, which the API server validates. */
const kubernetesObject = z.record(z.string(), z.unknown())

const image = z
  .strictObject({
    registry: z.string().regex(/^[a-z0-9.-]+(:\d+)?(\/[a-z0-9._/-]+)?$/),
    repository: z.string().regex(/^[a-z0-9._/-]+$/),
    tag: z.string().regex(/^$|^\w[\w.-]{0,127}$/),
    digest: z.string().regex(/^$|^sha256:[0-9a-f]{64}$/),
    pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']),
  })
  .partial()

const resources = z.strictObject({ requests: z.record(z.string(), quantity), limits: z.record(z.string(), quantity) }).partial()
const peers = z.array(kubernetesObject)

/** Fields of every program's pods. */
const pods = {
  replicas: z.int().min(1).max(10),
  image,
  secrets: z.array(name('Secret of this namespace')).describe('Secrets whose keys become files: /etc/skerry/secrets/NAME/KEY'),
  graceSeconds: z.int().min(1).max(600),
  resources,
  disruptionBudget: z
    .strictObject({
      enabled: z.boolean(),
      maxUnavailable: z.union([z.int().min(1), z.string().regex(/^\d{1,3}%$/)]),
    })
    .partial(),
  spread: z.boolean(),
  priorityClassName: nameOf('PriorityClass'),
  nodeSelector: texts,
  tolerations: z.array(kubernetesObject),
  affinity: kubernetesObject,
  podLabels: texts,
  podAnnotations: texts,
}
const programs = {
  ...pods,
  env: z.array(kubernetesObject),
  hostNetwork: z.boolean(),
  networkPolicy: z.strictObject({ from: peers, egress: z.array(kubernetesObject) }).partial(),
}

const agent = z
  .strictObject({
    ...programs,
    config: z.unknown(),
    import: z.strictObject({ enabled: z.boolean().describe('Whether the agent may make PersistentVolumes, for an import') }).partial(),
    tls: z
      .strictObject({
        mode: z.enum(['selfSigned', 'certManager', 'existingSecret']),
        validityDays: z.int().min(1).max(36_500),
        dnsNames: z.array(hostname),
        issuerRef: z.strictObject({ kind: z.enum(['Issuer', 'ClusterIssuer']), name: nameOf('Issuer'), group: z.string() }).partial(),
        existingSecret: nameOf('Secret'),
        systemTrusted: z.boolean(),
      })
      .partial(),
    tokens: z.strictObject({ list: z.unknown(), existingSecret: nameOf('Secret') }).partial(),
    service: z.strictObject({ type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer']), port, annotations: texts }).partial(),
    ingress: z
      .strictObject({
        enabled: z.boolean(),
        className: nameOf('IngressClass'),
        controllerNamespace: namespace,
        host: hostname,
        tlsSecret: nameOf('Secret'),
        annotations: texts,
      })
      .partial(),
    drainSeconds: z.int().min(0).max(300),
    exportVolume: kubernetesObject,
  })
  .partial()

const monitor = z
  .strictObject({
    ...programs,
    enabled: z.boolean(),
    config: z.unknown(),
    checks: z.unknown(),
    probeModules: z.record(z.string(), z.looseObject({ prober: z.string() })),
    watchedSecretNamespaces: z.array(namespace),
    restartPodNamespaces: z.array(namespace),
    dataSize: quantity,
  })
  .partial()

const exposed = z
  .strictObject({
    scheme: z.enum(['http', 'https']),
    name: namespace,
    namespace,
    port,
    podPort: port,
    podLabels: texts,
  })
  .partial()

const cloudflared = z
  .strictObject({
    ...pods,
    replicas: z.union([z.literal(''), pods.replicas]),
    enabled: z.boolean(),
    tunnel: z.string().regex(/^$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
    credentials: z.strictObject({ existingSecret: nameOf('Secret'), key: z.string().min(1) }).partial(),
    protocol: z.enum(['', 'auto', 'quic', 'http2']),
    connections: z.union([z.literal(''), z.int().min(1).max(4)]),
    onDemand: z.strictObject({ enabled: z.boolean(), stay: z.string().regex(/^\d+(m|h)$/) }).partial(),
    agent: z.strictObject({ hostname }).partial(),
    prometheus: z.strictObject({ hostname, service: exposed }).partial(),
    grafana: z.strictObject({ enabled: z.boolean(), hostname, service: exposed }).partial(),
  })
  .partial()

const values = z
  .strictObject({
    global: z.unknown().describe('Helm sets it if the chart is a dependency of another one'),
    region: z
      .strictObject({
        id: z.string().regex(/^$|^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/),
        name: z.string().max(200),
      })
      .partial(),
    cloud: z.strictObject({ url: z.string().regex(/^$|^https:\/\/[^/\s?#@]+\/?$/) }).partial(),
    link: z.strictObject({ profile: z.enum(linkProfiles) }).partial(),
    crds: z.strictObject({ install: z.boolean() }).partial(),
    deletionProtection: z.strictObject({ enabled: z.boolean() }).partial(),
    agentBoundary: z.strictObject({ enabled: z.boolean(), closedNamespaces: z.array(namespace) }).partial(),
    crateOperator: z.strictObject({ namespace, deployment: name('Deployment'), version: z.string().regex(/^$|^\d+\.\d+\.\d+$/) }).partial(),
    imageRegistry: z.string().regex(/^$|^[a-z0-9.-]+(:\d+)?(\/[a-z0-9._/-]+)?$/),
    imagePullSecrets: z.array(z.strictObject({ name: name('Secret') })),
    clusterDomain: z.string().regex(/^[a-z0-9][-a-z0-9.]*$/),
    proxy: z.strictObject({ http: proxyUrl, https: proxyUrl, noProxy: z.array(z.string().min(1)) }).partial(),
    caBundle: z.strictObject({ configMap: nameOf('ConfigMap'), key: z.string().min(1) }).partial(),
    kubernetesApi: z.strictObject({ ports: z.array(port).min(1) }).partial(),
    networkPolicy: z.strictObject({ enabled: z.boolean() }).partial(),
    agent,
    monitor,
    cloudflared,
    prometheus: z
      .strictObject({
        namespaces: z.array(namespace),
        podMonitors: z
          .strictObject({
            enabled: z.boolean(),
            interval: z.string().regex(/^\d+(ms|s|m|h)$/),
            labels: texts,
            monitor: z.strictObject({ basicAuth: kubernetesObject, tlsConfig: kubernetesObject }).partial(),
          })
          .partial(),
        rules: z.strictObject({ enabled: z.boolean(), labels: texts, runbooks: z.string().regex(/^https?:\/\/[^\s#]+$/) }).partial(),
      })
      .partial(),
    grafana: z
      .strictObject({
        dashboards: z
          .strictObject({
            enabled: z.boolean(),
            namespace: z.union([z.literal(''), namespace]),
            labels: texts,
          })
          .partial(),
      })
      .partial(),
  })
  .partial()

/** The checks file. The monitor itself validates the options of each check: `skerry-monitor --check-config`. */
const checksFile = fileFields
  .extend({
    checks: z.array(z.looseObject({ name: z.string(), kind: z.enum(Object.keys(checkKinds) as [string, ...string[]]) })),
  })
  .partial()

type JsonSchema = { [key: string]: unknown; properties?: Record<string, JsonSchema>; required?: string[] }

const draft = (schema: z.ZodType) =>
  z.toJSONSchema(schema, { io: 'input', target: 'draft-7', unrepresentable: 'any', reused: 'inline' }) as JsonSchema

/** Fields that the chart sets itself. The values do not have them. */
const setByChart = {
  agent: [
    'region',
    'api.host',
    'api.port',
    'api.tls.certFile',
    'api.tls.keyFile',
    'admin',
    'cluster',
    'identity.tokensFile',
    'crateOperator',
    'tunnel',
    'cloud.url',
    'grace',
  ],
  monitor: ['region', 'cluster', 'metrics.host', 'metrics.port', 'checks', 'dataDir', 'grace'],
}

/** The schema of a program's configuration without the fields that the chart sets. All fields that the agent requires are among those. */
function configSchema(program: 'agent' | 'monitor'): JsonSchema {
  const schema = draft(program === 'agent' ? agentConfig : monitorConfig)
  delete schema.$schema
  for (const path of setByChart[program]) {
    const pieces = path.split('.')
    const last = pieces.pop() as string
    const parent = pieces.reduce<JsonSchema>((at, piece) => inside(at, piece, path), schema)
    inside(parent, last, path)
    delete parent.properties?.[last]
  }
  if (program === 'agent') {
    delete schema.required
    const { api, cloud } = schema.properties as Record<string, JsonSchema>
    delete api?.required
    delete cloud?.required
    delete api?.properties?.tls?.required
  }
  return schema
}

function inside(schema: JsonSchema, name: string, path: string): JsonSchema {
  const found = schema.properties?.[name]
  if (found === undefined) throw new Error(`${path} is no field of the configuration any more: setByChart names it`)
  return found
}

/** The content of `values.schema.json`. */
export function valuesSchema(): JsonSchema {
  const schema = draft(values)
  const { agent, monitor } = schema.properties as Record<string, JsonSchema>
  const put = (at: JsonSchema | undefined, name: string, given: JsonSchema) => Object.assign(at?.properties as object, { [name]: given })
  put(agent, 'config', configSchema('agent'))
  put(agent?.properties?.tokens, 'list', withoutDialect(draft(tokenList)))
  put(monitor, 'config', configSchema('monitor'))
  put(monitor, 'checks', withoutDialect(draft(checksFile)))
  return { $schema: 'http://json-schema.org/draft-07/schema#', title: "Values of Skerry's chart", ...withoutDialect(schema) }
}

function withoutDialect({ $schema: _, ...schema }: JsonSchema): JsonSchema {
  return schema
}
