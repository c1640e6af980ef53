import { randomBytes } from 'node:crypto'
import type { KubernetesObject, OwnerReference } from '../../client/objects.ts'

/** An object to create, without its kind. */
export type Draft = Omit<KubernetesObject, 'apiVersion' | 'kind'>

export const labels = {
  component: 'app.kubernetes.io/component',
  managedBy: 'app.kubernetes.io/managed-by',
  name: 'app.kubernetes.io/name',
  partOf: 'app.kubernetes.io/part-of',
  nodeName: 'cloud.crate.io/node-name',
  nodeData: 'cloud.crate.io/node-data',
  userPassword: 'operator.cloud.crate.io/user-password',
} as const

/** The labels of a child: those of the CrateDB, overwritten where the operator has its own. */
export function childLabels({ metadata }: KubernetesObject, component: 'cratedb' | 'backup' = 'cratedb'): Record<string, string> {
  return {
    ...metadata.labels,
    [labels.managedBy]: 'crate-operator',
    [labels.name]: metadata.name,
    [labels.partOf]: 'cratedb',
    [labels.component]: component,
  }
}

export function owners({ apiVersion, kind, metadata }: KubernetesObject): OwnerReference[] {
  return [{ apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '', controller: true, blockOwnerDeletion: true }]
}

function child(database: KubernetesObject, name: string, component?: 'cratedb' | 'backup'): Draft['metadata'] {
  return {
    name,
    namespace: database.metadata.namespace as string,
    labels: childLabels(database, component),
    ownerReferences: owners(database),
  }
}

/** A Secret with a generated password of 50 characters under the key `password`. */
export function passwordSecret(database: KubernetesObject, user: 'system' | 'gc'): Draft {
  const password = randomBytes(40).toString('base64url').slice(0, 50)
  return {
    metadata: child(database, `user-${user}-${database.metadata.name}`),
    type: 'Opaque',
    data: { password: Buffer.from(password).toString('base64') },
  }
}

export function sqlExporterConfig(database: KubernetesObject): Draft {
  const target = 'data_source_name: postgres://crate@localhost:5432/?connect_timeout=5&sslmode=disable'
  return {
    metadata: child(database, `crate-sql-exporter-${database.metadata.name}`),
    data: { 'sql-exporter.yaml': `target:\n  ${target}\n  collectors: [responsivity_collector]\n` },
  }
}

/** The Service for clients: a load balancer's or, behind Traefik, inside the cluster only. */
export function dataService(database: KubernetesObject): Draft {
  const { name } = database.metadata
  const { allowedCIDRs, exposure = 'loadbalancer', externalDNS, service } = database.spec.cluster
  const { http = 4200, postgres = 5432 } = database.spec.ports ?? {}
  const balanced = exposure !== 'traefik'
  const annotations = {
    ...(balanced && externalDNS && { 'external-dns.alpha.kubernetes.io/hostname': externalDNS }),
    ...service?.annotations,
  }
  return {
    metadata: { ...child(database, `crate-${name}`), annotations },
    spec: {
      type: balanced ? 'LoadBalancer' : 'ClusterIP',
      ports: [
        { name: 'http', port: http, targetPort: 4200, protocol: 'TCP' },
        { name: 'psql', port: postgres, targetPort: 5432, protocol: 'TCP' },
      ],
      selector: {
        [labels.component]: 'cratedb',
        [labels.name]: name,
        ...(database.spec.nodes.master && { [labels.nodeData]: 'true' }),
      },
      ...(balanced && { externalTrafficPolicy: 'Local' }),
      ...(balanced && allowedCIDRs?.length > 0 && { loadBalancerSourceRanges: allowedCIDRs }),
    },
  }
}

export function discoveryService(database: KubernetesObject): Draft {
  const { name } = database.metadata
  const { http = 4200, postgres = 5432 } = database.spec.ports ?? {}
  return {
    metadata: child(database, `crate-discovery-${name}`),
    spec: {
      clusterIP: 'None',
      ports: [
        { name: 'cluster', port: 4300, targetPort: 4300, protocol: 'TCP' },
        { name: 'http', port: http, targetPort: 4200, protocol: 'TCP' },
        { name: 'psql', port: postgres, targetPort: 5432, protocol: 'TCP' },
      ],
      selector: { [labels.component]: 'cratedb', [labels.name]: name },
    },
  }
}

/** One for each StatefulSet, of the same name. */
export function disruptionBudget(database: KubernetesObject, name: string, group: string): Draft {
  return {
    metadata: { name, namespace: database.metadata.namespace as string, ownerReferences: owners(database) },
    spec: {
      maxUnavailable: 1,
      selector: { matchLabels: { [labels.component]: 'cratedb', [labels.name]: database.metadata.name, [labels.nodeName]: group } },
    },
  }
}

export function role(database: KubernetesObject): Draft {
  const { name, namespace } = database.metadata
  return {
    metadata: { name: `crate-${name}`, namespace: namespace as string, ownerReferences: owners(database) },
    rules: [{ apiGroups: ['apps'], resources: ['statefulsets'], verbs: ['get', 'list', 'watch'] }],
  }
}

export function roleBinding(database: KubernetesObject): Draft {
  const { name, namespace } = database.metadata
  return {
    metadata: { name: `crate-${name}`, namespace: namespace as string, ownerReferences: owners(database) },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: `crate-${name}` },
    subjects: [{ kind: 'ServiceAccount', name: 'default', namespace: namespace as string }],
  }
}

/** The CronJob that takes the snapshots. Both providers share its name; AWS takes precedence if both are given. */
export function snapshotCronJob(database: KubernetesObject, image: string): Draft {
  const { aws, azure_blob: azure } = database.spec.backups
  const name = `create-snapshot-${database.metadata.name}`
  const secretEnv = Object.entries(aws ?? azure)
    .filter((entry): entry is [string, { secretKeyRef: unknown }] => typeof entry[1] === 'object' && entry[1] !== null)
    .map(([field, { secretKeyRef }]) => ({ name: environmentName(field), valueFrom: { secretKeyRef } }))
  const meta = { name, labels: childLabels(database, 'backup') }
  const pod = {
    restartPolicy: 'Never',
    containers: [
      {
        name: 'backup',
        image,
        command: ['backup', '-vv'],
        env: [{ name: 'CLUSTER_ID', value: database.metadata.name }, { name: 'REPOSITORY_PREFIX', value: 'system_backup' }, ...secretEnv],
      },
    ],
  }
  return {
    metadata: child(database, name, 'backup'),
    spec: {
      schedule: (aws ?? azure).cron,
      concurrencyPolicy: 'Forbid',
      failedJobsHistoryLimit: 1,
      successfulJobsHistoryLimit: 1,
      suspend: false,
      jobTemplate: { metadata: meta, spec: { template: { metadata: meta, spec: pod } } },
    },
  }
}

export function backupMetricsDeployment(database: KubernetesObject, image: string): Draft {
  const name = `backup-metrics-${database.metadata.name}`
  const matchLabels = { [labels.component]: 'backup', [labels.name]: name }
  return {
    metadata: child(database, name, 'backup'),
    spec: {
      replicas: 1,
      selector: { matchLabels },
      template: {
        metadata: { labels: { ...childLabels(database, 'backup'), ...matchLabels } },
        spec: {
          containers: [{ name: 'backup-metrics', image, command: ['metrics-exporter'], ports: [{ containerPort: 7071, name: 'metrics' }] }],
        },
      },
    },
  }
}

/** `accessKeyId` as ACCESS_KEY_ID. */
const environmentName = (field: string): string => field.replace(/([A-Z])/g, '_$1').toUpperCase()
