/** What surrounds the databases of a project: who may reach them, and what they may reach. */
export type NetworkSurroundings = {
  agentNamespace: string
  operatorNamespace: string
  /** Namespaces from which Prometheus or the monitor scrapes; may be empty. */
  scrapeNamespaces: string[]
  /** Ports besides 443 that backups connect to: a private S3 store often listens on another port. */
  egressPorts?: number[]
  /** Whether CrateDB's nodes may ask the cloud's metadata service for their zone: needed if the operator has a CLOUD_PROVIDER. */
  cloudMetadata?: boolean
}

type Policy = { name: string; spec: Record<string, unknown> }

const tcp = (...ports: number[]) => ports.map((port) => ({ protocol: 'TCP', port }))
const namespaceNamed = (name: string) => ({ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } } })
const everyPod = { podSelector: {} }
// Every pod that the operator makes for CrateDB and for its backups.
const databasePods = { podSelector: { matchLabels: { 'app.kubernetes.io/part-of': 'cratedb' } } }
const nodes = { podSelector: { matchLabels: { 'app.kubernetes.io/part-of': 'cratedb', 'app.kubernetes.io/component': 'cratedb' } } }

const ingress = (selector: object, ...rules: object[]) => ({ ...selector, policyTypes: ['Ingress'], ingress: rules })
const egress = (selector: object, ...rules: object[]) => ({ ...selector, policyTypes: ['Egress'], egress: rules })

/**
 * A project's network: everything is denied, then CrateDB under the Crate Operator gets what it needs, with one policy for each reason. So
 * `kubectl get networkpolicies` explains itself. Policies are additive; their order does not matter.
 */
export function networkPolicies(surroundings: NetworkSurroundings): Policy[] {
  const { agentNamespace, operatorNamespace, scrapeNamespaces, egressPorts = [], cloudMetadata = false } = surroundings
  return [
    { name: 'skerry-default-deny', spec: { ...everyPod, policyTypes: ['Ingress', 'Egress'] } },

    // CrateDB's nodes talk to each other on 4300, and backup jobs use SQL on 4200 and 5432. Both ends are in this namespace.
    {
      name: 'skerry-within-project',
      spec: {
        ...everyPod,
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: [{ podSelector: {} }], ports: tcp(4300, 4200, 5432) }],
        egress: [{ to: [{ podSelector: {} }], ports: tcp(4300, 4200, 5432) }],
      },
    },

    // Nodes find each other by SRV records. Any address is allowed: NodeLocal DNSCache answers on a link-local address, which no selector
    // matches. OpenShift's DNS pods listen on 5353, and policies apply to the port behind the Service.
    {
      name: 'skerry-dns',
      spec: egress(everyPod, {
        ports: [53, 5353].flatMap((port) => [
          { protocol: 'UDP', port },
          { protocol: 'TCP', port },
        ]),
      }),
    },

    // The operator bootstraps, scales and pings over SQL (5432, 4200); 5050 is its helper `crate-control` on OpenShift.
    { name: 'skerry-operator', spec: ingress(nodes, { from: [namespaceNamed(operatorNamespace)], ports: tcp(4200, 5432, 5050) }) },

    // The agent restarts databases node by node and queries their health over HTTP only.
    { name: 'skerry-agent', spec: ingress(nodes, { from: [namespaceNamed(agentNamespace)], ports: tcp(4200) }) },

    // Clients come through the load balancer (or Traefik) with their own addresses, since the Service's externalTrafficPolicy is
    // Local. There, allowedCIDRs decides which clients may connect. An address list here would lock out balancers that hide the client.
    // Pods of other projects match too, but the egress rules of those projects stop them.
    { name: 'skerry-clients', spec: ingress(nodes, { ports: tcp(4200, 5432) }) },

    // 7071: JMX exporter and backup metrics; 9399: SQL exporter. The kubelet's readiness probe needs no rule [K8s].
    ...(scrapeNamespaces.length === 0
      ? []
      : [{ name: 'skerry-metrics', spec: ingress(databasePods, { from: scrapeNamespaces.map(namespaceNamed), ports: tcp(7071, 9399) }) }]),

    // 443: each pod fetches the JMX exporter from Maven Central or its mirror at its start, and snapshots go to the bucket.
    // 6443: `dc_util` asks the API server, by the port behind its Service, whether a stop is a suspension.
    { name: 'skerry-egress-https', spec: egress(everyPod, { ports: tcp(...new Set([443, 6443, ...egressPorts])) }) },

    // The program for the graceful stop is fetched from this namespace. Any port, since the one behind its Service is unknown.
    { name: 'skerry-egress-dc-util', spec: egress(nodes, { to: [namespaceNamed('dcutil')] }) },

    // On AWS, Azure, GCP and STACKIT a node asks for its zone at its start, and waits for the answer. Denied elsewhere: SQL can open URLs
    // too, and this address returns credentials.
    ...(cloudMetadata
      ? [{ name: 'skerry-egress-metadata', spec: egress(nodes, { to: [{ ipBlock: { cidr: '169.254.169.254/32' } }], ports: tcp(80) }) }]
      : []),
  ]
}
