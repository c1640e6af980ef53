/** What installations look like: values, by the name of the golden file that holds what they add to the default. */
export const shapes = {
  default: { region: { id: 'harbour-1' } },

  mqtt: {
    region: { id: 'harbour-1', name: 'Harbour' },
    monitor: {
      config: {
        sparkplug: {
          group: 'harbours',
          node: 'harbour-1',
          servers: [{ url: 'mqtts://broker.site:8883', username: 'skerry', passwordFile: '/etc/skerry/secrets/mqtt/password' }],
        },
        discovery: { kubelets: true },
      },
      checks: { checks: [{ name: 'site', kind: 'http', url: 'https://site.example/' }] },
      probeModules: { http_any: { prober: 'http', timeout: '5s', http: { valid_status_codes: [200, 401] } } },
      secrets: ['mqtt'],
      watchedSecretNamespaces: ['field'],
      restartPodNamespaces: ['field'],
    },
  },

  tunnel: {
    region: { id: 'harbour-1' },
    cloud: { url: 'https://cloud.example.org:9443' },
    agent: {
      config: { cloud: { tags: { site: 'quay' } } },
      tokens: { list: [{ name: 'cloud', sha256: 'ab'.repeat(32), scopes: ['region:read'] }] },
    },
    cloudflared: {
      enabled: true,
      tunnel: '6ff42ae2-765d-4adf-8112-31c55c1551ef',
      credentials: { existingSecret: 'tunnel' },
      agent: { hostname: 'harbour-1.regions.example' },
      prometheus: { hostname: 'prometheus-harbour-1-c0ffee.regions.example' },
      grafana: { enabled: true, hostname: 'grafana-harbour-1.regions.example' },
    },
    prometheus: { podMonitors: { enabled: true, labels: { release: 'prometheus' } } },
  },

  'cert-manager': {
    region: { id: 'harbour-1' },
    agent: {
      tls: { mode: 'certManager', dnsNames: ['agent.site'] },
      ingress: { enabled: true, className: 'nginx', host: 'skerry.site.example' },
    },
  },

  'air-gapped': {
    region: { id: 'harbour-1' },
    imageRegistry: 'registry.site:5000',
    imagePullSecrets: [{ name: 'site-registry' }],
    proxy: { http: 'http://proxy.site:3128', https: 'http://proxy.site:3128', noProxy: ['.site'] },
    caBundle: { configMap: 'site-authorities' },
    agent: {
      nodeSelector: { 'skerry.dev/group': 'system' },
      tolerations: [{ key: 'skerry.dev/group', value: 'system', effect: 'NoSchedule' }],
      priorityClassName: 'system-cluster-critical',
    },
    cloudflared: {
      enabled: true,
      tunnel: '6ff42ae2-765d-4adf-8112-31c55c1551ef',
      credentials: { existingSecret: 'tunnel' },
      agent: { hostname: 'harbour-1.regions.example' },
    },
  },

  least: {
    region: { id: 'harbour-1' },
    crds: { install: false },
    deletionProtection: { enabled: false },
    networkPolicy: { enabled: false },
    agent: {
      replicas: 1,
      drainSeconds: 0,
      disruptionBudget: { enabled: false },
      spread: false,
      tls: { mode: 'existingSecret', existingSecret: 'agent-certificate', systemTrusted: true },
      tokens: { existingSecret: 'agent-tokens' },
    },
    monitor: { enabled: false },
  },
}

export type Shape = keyof typeof shapes
export const shapeNames = Object.keys(shapes) as Shape[]
