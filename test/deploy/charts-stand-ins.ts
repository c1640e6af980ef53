import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Beyond } from '../../deploy/bootstrap/chart-contract.ts'
import type { ChartFacts, Container, CustomFacts, DefinitionFacts, Workload } from '../../deploy/bootstrap/chart-facts.ts'
import type { Manifest } from './helm.ts'

export type StandIn = {
  name: string
  chart: string
  version: string
  facts: ChartFacts
  beyond: Beyond
  /** The least version of Kubernetes that a hook insists on; without it, and with `anyKubernetes`, the chart takes any. */
  hookWants?: string | undefined
  anyKubernetes: boolean
}

/**
 * Writes a chart that renders what the contract says of a real one, under its name and version: workloads with their labels, images and
 * strategies, Services, definitions, hooks, Secrets and claims. Its values decide what those of the real one decide: whether definitions
 * come and are kept, the environment of the Crate Operator, Grafana's strategy and claim, the size of Loki's.
 * @returns its folder
 */
export async function writeStandIn(standIn: StandIn, folder: string): Promise<string> {
  const { name, facts, beyond } = standIn
  const source = join(folder, name)
  const subchart = join(source, 'charts/crds')
  const crds = join(beyond.subchart === undefined ? source : subchart, 'crds')
  await Promise.all([join(source, 'templates'), crds].map((each) => mkdir(each, { recursive: true })))
  const write = (file: string, content: string) => writeFile(join(source, file), content)
  await write('Chart.yaml', stringify(chartFile(standIn)))
  if (beyond.subchart !== undefined)
    await writeFile(join(subchart, 'Chart.yaml'), stringify({ apiVersion: 'v2', name: 'crds', version: '0.0.0' }))
  await write('values.yaml', stringify(facts.defaults))
  await write(
    'templates/workloads.yaml',
    documents(
      facts.workloads.map((each) => workload(each, standIn)),
      standIn,
    ),
  )
  await write('templates/services.yaml', documents(facts.services.map(service), standIn))
  await write('templates/customs.yaml', documents(facts.customs.flatMap(customs), standIn))
  await write(
    'templates/secrets.yaml',
    documents(
      facts.secrets.map((each) => secret(name, each)),
      standIn,
    ),
  )
  await write('templates/claims.yaml', facts.claims.map(claim).join('---\n'))
  for (const each of facts.definitions) {
    const text =
      name === 'crate-operator-crds'
        ? await readFile('test/cluster/crds/cratedbs.yaml', 'utf8')
        : stringify(definition(each, facts.customs))
    if (each.from === 'crds') await writeFile(join(crds, `${each.name}.yaml`), text)
    else await write(`templates/${each.name}.yaml`, inTemplate(text, facts.defaults))
  }
  return source
}

function chartFile({ chart, version, facts, beyond, anyKubernetes }: StandIn): Manifest {
  const dependencies = [{ name: 'crds', version: '0.0.0', condition: beyond.subchart }]
  return {
    ...{ apiVersion: 'v2', name: chart, version },
    ...(!anyKubernetes && facts.kubeVersion && { kubeVersion: facts.kubeVersion }),
    ...(beyond.subchart !== undefined && { dependencies }),
  }
}

/** Where an object holds `@@name@@` alone, its text holds that template. */
const templatesOf = ({ hookWants = '1.0' }: StandIn): Record<string, string> => ({
  environment:
    '[{{ range $name, $value := .Values.envFromSecret }}{ name: {{ $name }}, valueFrom: { secretKeyRef: { name: {{ $value.name }}, key: {{ $value.key }} } } },{{ end }}{{ range $name, $value := .Values.env }}{{ if $value }}{ name: {{ $name }}, value: "{{ $value }}" },{{ end }}{{ end }}]',
  strategy: '{{ toJson .Values.deploymentStrategy }}',
  lokiSize: '{{ .Values.singleBinary.persistence.size }}',
  // The password of the first installation holds on for as long as the Secret does.
  password:
    '{{ with lookup "v1" "Secret" .Release.Namespace "grafana" }}{{ index .data "admin-password" }}{{ else }}{{ randAlphaNum 40 | b64enc }}{{ end }}',
  jobsPolicy: `{{ if semverCompare "<${hookWants}.0-0" .Capabilities.KubeVersion.Version }}Always{{ else }}Never{{ end }}`,
})

function documents(objects: Manifest[], standIn: StandIn): string {
  const templates = templatesOf(standIn)
  const written = objects.map((object) => stringify(object, { lineWidth: 0 }))
  return written.map((text) => text.replaceAll(/"@@(\w+)@@"/g, (_, name) => templates[name] ?? '')).join('---\n')
}

function workload({ kind, name, labels, strategy, hook, containers, volumes }: Workload, standIn: StandIn): Manifest {
  const refuses = !standIn.anyKubernetes && standIn.hookWants !== undefined
  const pod = {
    metadata: { labels: { ...labels, app: name } },
    spec: {
      ...(kind === 'Job' && { restartPolicy: refuses ? '@@jobsPolicy@@' : 'Never' }),
      ...(containers.some(({ init }) => init) && {
        initContainers: containers.filter(({ init }) => init).map((each) => container(each, standIn)),
      }),
      containers: containers.filter(({ init }) => !init).map((each) => container(each, standIn)),
      ...(volumes?.claims && { volumes: volumes.claims.map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } })) }),
    },
  }
  if (kind === 'Job') return job({ name, labels, hook: hook ?? [] }, pod)
  const ofDeployment = 'deploymentStrategy' in standIn.facts.defaults ? '@@strategy@@' : strategy && { type: strategy }
  const spec = {
    selector: { matchLabels: { app: name } },
    ...(kind !== 'DaemonSet' && { replicas: 1 }),
    ...(kind === 'Deployment' && ofDeployment && { strategy: ofDeployment }),
    ...(kind === 'DaemonSet' && strategy && { updateStrategy: { type: strategy } }),
    ...(kind === 'StatefulSet' && { serviceName: name }),
    template: pod,
    ...(volumes?.template && { volumeClaimTemplates: volumes.template.map(claimTemplate) }),
  }
  return { apiVersion: 'apps/v1', kind, metadata: { name, labels }, spec }
}

/**
 * Helm waits for its end, as for that of the real one. It is over at once and without a pod, for nothing runs here; where it refuses the
 * version of Kubernetes, its object is one that no API server takes.
 */
function job({ name, labels, hook }: { name: string; labels: Record<string, string>; hook: string[] }, pod: Manifest): Manifest {
  const annotations = { 'helm.sh/hook': hook.join(','), 'helm.sh/hook-delete-policy': 'before-hook-creation,hook-succeeded' }
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, labels, annotations },
    spec: { completions: 0, backoffLimit: 1, template: pod },
  }
}

function container({ name, image, args }: Container, standIn: StandIn): Manifest {
  return { name, image, ...(args && { args }), ...(standIn.name === 'crate-operator' && { env: '@@environment@@' }) }
}

function claimTemplate(name: string): Manifest {
  return { metadata: { name }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '@@lokiSize@@' } } } }
}

function service({ name, namespace, ports }: ChartFacts['services'][number]): Manifest {
  const headless = namespace === 'kube-system' || name.endsWith('-headless')
  const spec = {
    selector: { app: name },
    ...(headless && { clusterIP: 'None' }),
    ports: ports.map((each) => {
      const [port = '', called = 'http'] = each.split(':').reverse()
      // Written out, for without it a server-side apply fails before 1.21.
      return { name: called, port: Number(port), protocol: 'TCP' }
    }),
  }
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, ...(namespace === 'kube-system' && { namespace }) }, spec }
}

/** The objects that name images, with every field that the real ones have and nothing in it. */
function customs({ apiVersion, kind, fields, images = {} }: CustomFacts): Manifest[] {
  return Object.entries(images).map(([name, paths]) => {
    const spec = Object.fromEntries(fields.map((field) => [field, paths[`spec.${field}`] ?? {}]))
    return { apiVersion, kind, metadata: { name }, spec }
  })
}

function secret(component: string, name: string): Manifest {
  const data = component === 'grafana' ? { 'admin-user': 'YWRtaW4=', 'admin-password': '@@password@@' } : {}
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name }, type: 'Opaque', data }
}

function claim({ name }: ChartFacts['claims'][number]): string {
  return `{{- if .Values.persistence.enabled }}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: ${name}
  annotations: {{ .Values.persistence.annotations | default dict | toJson }}
spec:
  accessModes: [ReadWriteOnce]
  resources: { requests: { storage: {{ .Values.persistence.size }} } }
{{- end }}
`
}

/**
 * A definition as the real one is, as far as its versions. Where the chart itself makes such objects with images, it knows the fields that
 * these have, and no others: those that a later version of the chart brings are refused, as by the real one. It takes anything else.
 */
function definition({ name, kind, scope, versions }: DefinitionFacts, all: CustomFacts[]): Manifest {
  const [plural = '', ...group] = name.split('.')
  const anything = { 'x-kubernetes-preserve-unknown-fields': true }
  const fields = all.find((each) => each.kind === kind && each.images)?.fields
  const spec = fields && { type: 'object', properties: Object.fromEntries(fields.map((field) => [field, anything])) }
  const schema = {
    openAPIV3Schema: { type: 'object', ...(spec ? { properties: { spec, status: { type: 'object', ...anything } } } : anything) },
  }
  const stored = versions.findLast((version) => /^v\d+$/.test(version)) ?? versions.at(-1)
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name },
    spec: {
      ...{ group: group.join('.'), scope, names: { plural, kind } },
      versions: versions.map((version) => ({ name: version, served: true, storage: version === stored, schema })),
    },
  }
}

/** A definition among the templates, behind the values that the chart has for that. */
function inTemplate(text: string, defaults: ChartFacts['defaults']): string {
  const crds = (defaults.crds ?? {}) as Record<string, unknown>
  const annotations =
    'annotations' in crds
      ? '{{ .Values.crds.annotations | default dict | toJson }}'
      : 'keep' in crds
        ? '{ {{ if .Values.crds.keep }}helm.sh/resource-policy: keep{{ end }} }'
        : undefined
  const annotated = annotations === undefined ? text : text.replace(/^metadata:$/m, `metadata:\n  annotations: ${annotations}`)
  const wanted =
    'enabled' in crds ? 'or .Values.crds.enabled .Values.installCRDs' : 'installCRDs' in defaults ? '.Values.installCRDs' : undefined
  return wanted === undefined ? annotated : `{{- if ${wanted} }}\n${annotated}{{- end }}\n`
}
