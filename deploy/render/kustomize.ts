import { stringify } from 'yaml'

// biome-ignore lint/suspicious/noExplicitAny: objects of all kinds
type KubernetesObject = any

/** The values with which the base is rendered. The overlay provides the Secrets that helm would create. */
export const baseValues = {
  region: { id: 'region' },
  agent: { tls: { mode: 'existingSecret', existingSecret: 'skerry-agent-tls' }, tokens: { existingSecret: 'skerry-agent-tokens' } },
}

/** The oldest version with disruption budgets in policy/v1. Of the versions that the chart supports, only 1.20 lacks them. */
export const baseKubeVersion = '1.21.0'

const header = '# Rendered from deploy/chart by `npm run render`. Change the chart, or override this in an overlay.\n'

/**
 * Turns the chart's objects into a base for kustomize, by file name. Configuration becomes generated ConfigMaps with a hash in their names,
 * so that pods are replaced when it changes. The chart does this with checksums.
 */
export function kustomizeBase(objects: KubernetesObject[]): Record<string, string> {
  const files: Record<string, string> = {}
  const generated: { name: string; files: string[] }[] = []
  const resources: Record<string, KubernetesObject[]> = { 'namespace.yaml': [namespace], 'crds.yaml': [] }
  for (const object of objects.filter((each) => !closesNamespace(each) && !readsClocks(each))) {
    withoutHelm(object)
    if (object.kind === 'ConfigMap') {
      generated.push({ name: object.metadata.name, files: Object.keys(object.data) })
      for (const [name, text] of Object.entries<string>(object.data)) files[name] = `${header}${text}`
    } else {
      const file = object.kind === 'CustomResourceDefinition' ? 'crds.yaml' : `${object.metadata.labels['app.kubernetes.io/name']}.yaml`
      resources[file] ??= []
      resources[file].push(object)
    }
  }
  for (const [name, all] of Object.entries(resources))
    files[name] = header + all.map((each) => stringify(each, { lineWidth: 0 })).join('---\n')
  files['kustomization.yaml'] =
    header +
    stringify({
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      namespace: 'skerry',
      resources: Object.keys(resources),
      configMapGenerator: generated,
    })
  return files
}

/** The first version with ValidatingAdmissionPolicies. */
export const policyKubeVersion = '1.30.0'

/** The RoleBindings that close namespaces. */
const closesNamespace = ({ kind, metadata }: KubernetesObject) =>
  kind === 'RoleBinding' && metadata.name === 'skerry-agent-project' && metadata.namespace !== 'skerry'
/** The Role and the RoleBinding in the namespace of the nodes' Leases. */
const readsClocks = ({ metadata }: KubernetesObject) => metadata.name === 'skerry-agent-clocks'
const isPolicy = (name: string) => (object: KubernetesObject) =>
  object.kind.startsWith('ValidatingAdmissionPolicy') && object.metadata.name === name

/**
 * What is applied with `kubectl apply` after the overlay, by file name. Policies are not in the base, which is for older clusters too. None
 * of this is a component, because kustomize would move it to the namespace of the overlay.
 */
export const besideTheBase: Record<string, (object: KubernetesObject) => boolean> = {
  'deletion-protection.yaml': isPolicy('skerry-deletion-protection'),
  'agent-boundary.yaml': isPolicy('skerry-agent-boundary'),
  'closed-namespaces.yaml': closesNamespace,
  'node-clocks.yaml': readsClocks,
}

/** What a file beside the base does not take from the configuration, as its head says. */
const toChange: Record<string, string> = {
  'agent-boundary.yaml': `#
# For the namespace skerry, the service accounts skerry-agent and skerry-monitor, and no labels of requests. With other settings in the
# configuration of the agent, change here as well:
#   cluster.namespace, cluster.serviceAccount    system:serviceaccount:skerry:skerry-agent, and each 'skerry' and 'skerry-agent'
#   monitor.serviceAccount                       'skerry-monitor'
#   tunnel.deployment                            'cloudflared-'
#   metadata.labels                              the variable allowedLabels, such as ['team', 'example.org/'] for [team, example.org/]
# With another account of the agent it confines nobody. Without the labels, the namespace of a project that has them is refused.
`,
}

/** The text of a file beside the base. */
export function fileBeside(objects: KubernetesObject[], name: string, belongs: (object: KubernetesObject) => boolean): string {
  const found = objects.filter(belongs)
  for (const each of found) withoutHelm(each)
  return header + (toChange[name] ?? '') + found.map((each) => stringify(each, { lineWidth: 0 })).join('---\n')
}

const namespace = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'skerry', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
}

function withoutHelm(object: KubernetesObject): void {
  for (const metadata of [object.metadata, object.spec?.template?.metadata]) {
    if (metadata === undefined) continue
    delete metadata.labels?.['helm.sh/chart']
    delete metadata.labels?.['app.kubernetes.io/managed-by']
    delete metadata.annotations?.['helm.sh/resource-policy']
    delete metadata.annotations?.['checksum/config']
    if (Object.keys(metadata.annotations ?? {}).length === 0) delete metadata.annotations
  }
}
