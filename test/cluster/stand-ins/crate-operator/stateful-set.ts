import type { KubernetesObject } from '../../client/objects.ts'
import { formatBytes, parseQuantity } from '../quantity.ts'
import { childLabels, type Draft, labels, owners } from './objects.ts'

/** One group of a cluster's nodes: its masters, or one data group. */
export type NodeGroup = {
  /** `master`, or the name of the data group. */
  name: string
  isMaster: boolean
  /** The name of the StatefulSet and, with an ordinal appended, of the pods. */
  setName: string
  /** The prefix of CrateDB's own node names. */
  nodePrefix: string
  // biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
  spec: any
}

/** The groups of a database in the operator's order: masters first. */
// biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
export function nodeGroups(name: string, nodes: any): NodeGroup[] {
  const data = nodes.data.map((spec: { name: string }) => ({
    name: spec.name,
    isMaster: false,
    setName: `crate-data-${spec.name}-${name}`,
    nodePrefix: `data-${spec.name}`,
    spec,
  }))
  if (!nodes.master) return data
  return [{ name: 'master', isMaster: true, setName: `crate-master-${name}`, nodePrefix: 'master', spec: nodes.master }, ...data]
}

export type StatefulSetOptions = { debugVolume: { storageClass: string; size: string } }

/** The StatefulSet of one group. */
export function statefulSet(database: KubernetesObject, group: NodeGroup, options: StatefulSetOptions): Draft {
  const { name, namespace } = database.metadata
  const selector = { [labels.component]: 'cratedb', [labels.name]: name, [labels.nodeName]: group.name }
  const all = { ...childLabels(database), ...group.spec.labels, ...selector, [labels.nodeData]: String(!group.isMaster) }
  return {
    metadata: {
      name: group.setName,
      namespace: namespace as string,
      labels: all,
      annotations: group.spec.annotations ?? {},
      ownerReferences: owners(database),
    },
    spec: {
      replicas: group.spec.replicas,
      serviceName: 'cratedb',
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      selector: { matchLabels: selector },
      template: {
        metadata: {
          labels: all,
          annotations: { ...group.spec.annotations, 'prometheus.io/port': '7071', 'prometheus.io/scrape': 'true' },
        },
        spec: podSpec(database, group),
      },
      volumeClaimTemplates: claimTemplates(database, group, options),
    },
  }
}

function podSpec(database: KubernetesObject, group: NodeGroup): unknown {
  const { name } = database.metadata
  const { ssl } = database.spec.cluster
  const keystore = ssl?.keystore.secretKeyRef
  return {
    terminationGracePeriodSeconds: 1200,
    ...placement(name, group.spec.nodepool),
    initContainers: [
      {
        name: 'init-sysctl',
        image: 'busybox:1.35.0',
        command: ['sysctl', '-w', 'vm.max_map_count=2566080'],
        securityContext: { privileged: true },
      },
      {
        name: 'fetch-jmx-exporter',
        image: 'busybox:1.35.0',
        command: ['wget', '-O', '/jmxdir/crate-jmx-exporter.jar', 'https://repo1.maven.org/maven2/io/crate/crate-jmx-exporter.jar'],
        volumeMounts: [{ name: 'jmxdir', mountPath: '/jmxdir' }],
      },
      {
        name: 'mkdir-heapdump',
        image: imageOf(database.spec.cluster),
        command: ['sh', '-c', 'mkdir -pv /resource/heapdump ; chown -R crate:crate /resource'],
        volumeMounts: [{ name: 'debug', mountPath: '/resource' }],
      },
    ],
    containers: [
      crateContainer(database, group),
      { name: 'sql-exporter', image: 'burningalchemist/sql_exporter:0.8.4', ports: [{ containerPort: 9399, name: 'sql-exporter' }] },
    ],
    volumes: [
      { name: 'crate-sql-exporter', configMap: { name: `crate-sql-exporter-${name}` } },
      { name: 'jmxdir', emptyDir: {} },
      ...(keystore
        ? [{ name: 'keystore', secret: { secretName: keystore.name, items: [{ key: keystore.key, path: 'keystore.jks' }] } }]
        : []),
    ],
  }
}

/** On nodes of the shared pool, or each pod of a cluster on a separate node. */
function placement(name: string, nodepool: string | undefined): { affinity: unknown; tolerations: unknown[] } {
  const toleration = { key: 'cratedb', operator: 'Equal', effect: 'NoSchedule' }
  if (nodepool === 'shared') {
    const terms = [{ matchExpressions: [{ key: 'cratedb', operator: 'In', values: ['shared'] }] }]
    return {
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } },
      tolerations: [{ ...toleration, value: 'shared' }],
    }
  }
  const matchExpressions = [
    { key: labels.component, operator: 'In', values: ['cratedb'] },
    { key: labels.name, operator: 'In', values: [name] },
  ]
  return {
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [{ labelSelector: { matchExpressions }, topologyKey: 'kubernetes.io/hostname' }],
      },
    },
    tolerations: [{ ...toleration, value: 'any' }],
  }
}

/** The operator's limits and requests: requests default to the limits, limits to the deprecated fields. */
// biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
export function containerResources({ limits = {}, requests = {}, cpus, memory }: any) {
  const limit = { cpu: limits.cpu ?? cpus, memory: limits.memory ?? memory }
  return {
    limits: { cpu: String(limit.cpu), memory: formatBytes(parseQuantity(limit.memory)) },
    requests: { cpu: String(requests.cpu ?? limit.cpu), memory: formatBytes(parseQuantity(requests.memory ?? limit.memory)) },
  }
}

/** CRATE_HEAP_SIZE in bytes. */
// biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
export function heapSize({ limits, memory, heapRatio }: any): string {
  return String(Math.floor(parseQuantity(limits?.memory ?? memory) * heapRatio))
}

// biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
export const imageOf = ({ imageRegistry, version }: any): string => `${imageRegistry}:${version}`

// biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
export const processors = (resources: any): string => `-Cprocessors=${Math.ceil(Number(resources.limits?.cpu ?? resources.cpus))}`

function crateContainer(database: KubernetesObject, group: NodeGroup): unknown {
  const { cluster, nodes } = database.spec
  const { resources } = group.spec
  const count = nodes.data.reduce((sum: number, { replicas }: { replicas: number }) => sum + replicas, 0)
  const masters = group.isMaster || !nodes.master ? nodeGroups(database.metadata.name, nodes)[0] : undefined
  const settings = {
    'cluster.name': cluster.name,
    'node.name': `${group.nodePrefix}-$(hostname | awk -F- '{print $NF}')`,
    'gateway.expected_data_nodes': count,
    'gateway.recover_after_data_nodes': Math.floor(count / 2) + 1,
    ...(masters && {
      'cluster.initial_master_nodes': Array.from({ length: masters.spec.replicas }, (_, i) => `${masters.nodePrefix}-${i}`).join(','),
    }),
    ...cluster.settings,
    ...group.spec.settings,
  }
  return {
    name: 'crate',
    image: imageOf(cluster),
    command: [
      '/docker-entrypoint.sh',
      'crate',
      processors(resources),
      ...Object.entries(settings).map(([key, value]) => `-C${key}=${value}`),
    ],
    env: [
      { name: 'CRATE_HEAP_SIZE', value: heapSize(resources) },
      ...(cluster.ssl
        ? [
            { name: 'KEYSTORE_KEY_PASSWORD', valueFrom: cluster.ssl.keystoreKeyPassword },
            { name: 'KEYSTORE_PASSWORD', valueFrom: cluster.ssl.keystorePassword },
          ]
        : []),
    ],
    ports: [
      { name: 'http', containerPort: 4200 },
      { name: 'postgres', containerPort: 5432 },
      { name: 'transport', containerPort: 4300 },
      { name: 'prometheus', containerPort: 7071 },
      { name: 'jmx', containerPort: 6666 },
    ],
    readinessProbe: { httpGet: { path: '/ready', port: 7071 }, initialDelaySeconds: 30, periodSeconds: 10 },
    resources: containerResources(resources),
    securityContext: { capabilities: { add: ['SYS_CHROOT'] } },
    volumeMounts: [
      { name: 'debug', mountPath: '/resource' },
      ...Array.from({ length: resources.disk.count }, (_, k) => ({ name: `data${k}`, mountPath: `/data/data${k}` })),
      ...(cluster.ssl ? [{ name: 'keystore', mountPath: '/var/lib/crate/ssl/', readOnly: true }] : []),
    ],
  }
}

/** The data volumes and one for heap dumps. The CrateDB owns them, so they are deleted with it. */
function claimTemplates(database: KubernetesObject, { spec }: NodeGroup, { debugVolume }: StatefulSetOptions): unknown[] {
  const { count, size, storageClass } = spec.resources.disk
  const template = (name: string, storage: string, storageClassName: string) => ({
    metadata: { name, ownerReferences: owners(database) },
    spec: { accessModes: ['ReadWriteOnce'], storageClassName, resources: { requests: { storage } } },
  })
  return [
    ...Array.from({ length: count }, (_, k) => template(`data${k}`, formatBytes(parseQuantity(size)), storageClass)),
    template('debug', formatBytes(parseQuantity(debugVolume.size)), debugVolume.storageClass),
  ]
}
