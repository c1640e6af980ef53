import { stringify } from 'yaml'

// biome-ignore lint/suspicious/noExplicitAny: objects of all kinds
type KubernetesObject = any

/** The values with which the chart becomes the base: what helm would make by itself, the overlay brings along. */
export const baseValues = {
  region: { id: 'region' },
  agent: { tls: { mode: 'existingSecret', existingSecret: 'skerry-agent-tls' }, tokens: { existingSecret: 'skerry-agent-tokens' } },
}

/** Old enough for every cluster that the chart supports but 1.20, which had disruption budgets in a beta only. */
export const baseKubeVersion = '1.21.0'

const header = '# Rendered from deploy/chart by `npm run render`. Change it there, and this in an overlay.\n'

/**
 * Turns what the chart renders into a base for kustomize, by file name. Configuration becomes generated ConfigMaps, whose names have a
 * hash: pods are replaced when it changes, as the chart does it with checksums.
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

/** A version that has policies. */
export const policyKubeVersion = '1.30.0'

/**
 * The policy of deletion protection, for `kubectl apply` after the overlay. It is no part of the base, which is for older clusters too, and
 * no component: kustomize would put it into a namespace.
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
