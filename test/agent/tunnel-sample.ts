import { type Tunnel, tunnelOf, tunnelSection } from '../../agent/tunnel/settings.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'

/** The section `tunnel` of a configuration in which everything can be exposed. */
export const tunnelGiven = {
  id: '6ff42ae2-765d-4adf-8112-31c55c1551ef',
  hostname: 'harbour-1.example.org',
  domain: 'example.org',
  agent: { caFile: '/etc/cloudflared/origin/ca.crt' },
  prometheus: { url: 'http://prometheus-operated.monitoring.svc:9090' },
  grafana: { url: 'http://grafana.monitoring.svc:80' },
}

export function tunnelFrom(given: object = tunnelGiven): Tunnel {
  return tunnelOf(tunnelSection.parse(given), { region: 'harbour-1', namespace: 'skerry' })
}

/** cloudflared as the chart installs it: the agent has yet to put something into the ConfigMap. */
export function installedByHelm(): { configMap: KubernetesObject; deployment: KubernetesObject } {
  const labels = { 'app.kubernetes.io/managed-by': 'Helm', 'app.kubernetes.io/name': 'cloudflared' }
  const metadata = { name: 'cloudflared', namespace: 'skerry', labels }
  const matchLabels = { 'app.kubernetes.io/name': 'cloudflared' }
  const containers = [{ name: 'cloudflared', image: 'docker.io/cloudflare/cloudflared:2026.7.3' }]
  const volumes = [
    { name: 'config', configMap: { name: 'cloudflared' } },
    { name: 'credentials', secret: { secretName: 'tunnel-credentials' } },
  ]
  return {
    configMap: { apiVersion: 'v1', kind: 'ConfigMap', metadata },
    deployment: {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: { replicas: 2, selector: { matchLabels }, template: { metadata: { labels: matchLabels }, spec: { containers, volumes } } },
    },
  }
}
