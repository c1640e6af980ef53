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
  for (const object of objects) {
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

/**
 * The policy of deletion protection, for `kubectl apply` after the overlay. It is not in the base, which is for older clusters too, and
 * not a component, because kustomize would give it a namespace.
 */
export function deletionProtection(objects: KubernetesObject[]): string {
  const policies = objects.filter(({ kind }) => kind.startsWith('ValidatingAdmissionPolicy'))
  for (const each of policies) withoutHelm(each)
  return header + policies.map((each) => stringify(each, { lineWidth: 0 })).join('---\n')
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
