import type { Prober } from '../../prober/check.ts'
import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import type { MonitorCaches } from '../caches.ts'
import { checkNames } from '../discovered-checks.ts'
import type { PodTotals } from '../pod-totals.ts'
import { type DatabaseView, placeOf, type RehearsalView } from '../views.ts'
import type { DeviceFamily } from './family.ts'
import { bytes, cores, count, flag, moment, text } from './metrics.ts'

/** The metrics of one database. `used`: bytes used on its data volumes; undefined as long as no check has measured them. */
export function databaseMetrics(database: DatabaseView, { ready, used }: { ready: number; used: number | undefined }): SparkplugMetric[] {
  const { metadata, requested, disks } = database
  const { name, namespace = '' } = metadata
  const total = disks?.bytes
  return [
    text('Health', database.health, "Result of the operator's last ping: GREEN, YELLOW, RED, UNREACHABLE or SUSPENDED"),
    count('Nodes/Desired', database.nodes, 'Desired nodes, masters included; none while it is suspended'),
    count('Nodes/Ready', ready, 'Ready nodes'),
    text('Version', database.version, 'Version of CrateDB as specified'),
    flag('Suspended', database.suspended, 'It has no nodes; its data is kept'),
    flag('Changing', database.changing, 'The operator is changing it'),
    flag('Deleting', database.deleting, 'It is being deleted'),
    cores('Requested/CPU', requested.millicores, 'CPU that its nodes request in total'),
    bytes('Requested/Memory', requested.memory, 'Memory that its nodes request in total'),
    count('Disks/Count', disks?.count ?? null, 'Number of data volumes of all its nodes'),
    bytes('Disks/Size', total ?? null, 'Total size of its data volumes, as specified'),
    {
      ...bytes('Disks/Used', used ?? null, 'Bytes used on its data volumes, as its checks last measured', total),
      // One percent: otherwise each run of the check would be a change.
      ...(total !== undefined && total > 0 && { deadband: Math.round(total / 100) }),
      class: 'usage',
    },
    ...rehearsalMetrics(database.rehearsal),
    text('Properties/Storage Class', database.storageClass, 'Storage class of its data volumes'),
    text('Properties/Project', placeOf(namespace), 'Its project, or namespace.NAME if the namespace is not that of a project'),
    text('Properties/Namespace', namespace, 'Its namespace'),
    text('Properties/Name', name, 'Its id in its project'),
  ]
}

/** Only a database with backups of Skerry's own has them. */
function rehearsalMetrics(rehearsal: RehearsalView | undefined): SparkplugMetric[] {
  if (rehearsal === undefined) return []
  const { succeededAt, failedAt, reason } = rehearsal
  return [
    moment('Backups/Rehearsal/Last Success', succeededAt, 'When a restore of its last backup was rehearsed with success'),
    moment('Backups/Rehearsal/Last Failure', failedAt, 'When a rehearsal has failed last'),
    text('Backups/Rehearsal/Failure', reason, 'Why that one failed, in one word'),
  ]
}

/** The measurements of how full a database is, best first: of its volumes, or of the database itself. */
const measures = ['skerry_volume_used_bytes', 'skerry_cratedb_disk_used_bytes']

/** Bytes used on a database's data volumes by the newest results of its checks; undefined as long as none measured them. */
function usedBytes(prober: Pick<Prober, 'status'>, namespace: string, name: string): number | undefined {
  const checks = [checkNames.volume(namespace, name), checkNames.database(namespace, name)]
  for (const [index, measure] of measures.entries()) {
    const found = prober.status(checks[index] as string)?.measurements.filter((each) => each.name === measure) ?? []
    if (found.length > 0) return Math.round(found.reduce((sum, { value }) => sum + value, 0))
  }
  return undefined
}

/**
 * The key of a database's device: `<project>.<id>`, or `namespace.<namespace>.<id>`. Projects and namespaces have no dot, but ids may: with
 * a project called `namespace`, `namespace.default.orders` would be two databases. It is therefore not treated as a project.
 */
function deviceKey({ namespace = '', name }: { namespace?: string; name: string }): string {
  return `${keyOfPlace(placeOf(namespace))}.${name}`
}

function keyOfPlace(place: string): string {
  return place === 'namespace' ? 'namespace.project-namespace' : place
}

/** The key of a device's object. */
function objectKey(device: string): string {
  const [, namespace, inNamespace, project, inProject] = /^(?:namespace\.([^.]+)\.(.+)|([^.]+)\.(.+))$/.exec(device) ?? []
  return namespace === undefined ? `project-${project}/${inProject}` : `${namespace}/${inNamespace}`
}

/** The key of the device that a check measures, if it is the check of a database. */
function deviceOfCheck(check: string): string | undefined {
  const [, place, name] = /^(?:database|volume)\/([^/]+)\/([^/]+)$/.exec(check) ?? []
  return place === undefined ? undefined : `${keyOfPlace(place)}.${name}`
}

/** One device for each database. */
export function databaseDevices(
  { databases }: Pick<MonitorCaches, 'databases'>,
  totals: PodTotals,
  prober: Pick<Prober, 'status' | 'subscribe'>,
): DeviceFamily {
  return {
    kind: 'database',
    sources: ['databases', 'pods'],
    *keys() {
      for (const { metadata } of databases.values()) yield deviceKey(metadata)
    },
    metrics(device) {
      const database = databases.get(objectKey(device))
      if (database === undefined) return undefined
      const { namespace = '', name } = database.metadata
      return databaseMetrics(database, { ready: totals.ready(namespace, name), used: usedBytes(prober, namespace, name) })
    },
    follow(touch) {
      const forget = [
        databases.subscribe(({ object }) => touch(deviceKey(object.metadata))),
        totals.subscribe((change) => {
          for (const key of change.databases) {
            const [namespace = '', name = ''] = key.split('/')
            touch(deviceKey({ namespace, name }))
          }
        }),
        prober.subscribe(({ status }) => {
          const device = deviceOfCheck(status.check.name)
          if (device !== undefined && databases.get(objectKey(device)) !== undefined) touch(device)
        }),
      ]
      return () => {
        for (const end of forget) end()
      }
    },
  }
}
