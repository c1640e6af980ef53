import type { Check, CheckStatus } from '../../../monitor/prober/check.ts'
import { checkMetrics, summaryMetrics } from '../../../monitor/region/devices/checks.ts'
import { componentMetrics } from '../../../monitor/region/devices/component.ts'
import { databaseMetrics } from '../../../monitor/region/devices/database.ts'
import { hostMetrics } from '../../../monitor/region/devices/host.ts'
import { databaseView, deploymentView, hostView } from '../../../monitor/region/views.ts'
import type { SparkplugMetric } from '../../../monitor/sparkplug/tracked-metric.ts'

/**
 * The tables of docs/monitoring-devices.md, made by the functions that make the metrics.
 * @param node the metrics of the node, as `nodeMetrics` makes them
 */
export function describeDevices(node: readonly SparkplugMetric[]): Record<string, string> {
  const object = { apiVersion: '', kind: '', metadata: { name: 'example', namespace: 'project-example' } }
  const annotations = { 'skerry.dev/database': '{"snapshots":{}}' }
  const withBackups = { ...object, metadata: { ...object.metadata, annotations } }
  const status = { check: exampleCheck, state: 'up', since: 0, detail: '', measurements: [], lastDuration: 0 } as unknown as CheckStatus
  const ofCheck = checkMetrics(status).map((metric) => ({ ...metric, name: metric.name.replace(exampleCheck.name, 'CHECK') }))
  return {
    node: tableOf(node),
    host: tableOf(hostMetrics(hostView(object), { millicores: 0, memory: 0, pods: 0 })),
    database: tableOf(databaseMetrics(databaseView({ ...withBackups, spec: { nodes: { data: [{}] } } }), { ready: 0, used: 0 })),
    component: tableOf(componentMetrics([deploymentView(object)])),
    checks: tableOf([...summaryMetrics([]), ...ofCheck]),
  }
}

const exampleCheck = { name: 'example', kind: 'tcp', target: '', severity: 'warning', group: '', labels: {} } as Check

function tableOf(metrics: readonly SparkplugMetric[]): string {
  const rows = metrics.map(({ name, datatype, unit = '', description = '' }) => `| \`${name}\` | ${datatype} | ${unit} | ${description} |`)
  return ['| metric | type | unit | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

/** Puts tables into a page, each between the comments `<!-- NAME -->` and `<!-- end -->`. */
export function withTables(page: string, tables: Record<string, string>): string {
  return page.replace(/<!-- (\w+) -->\n[\s\S]*?<!-- end -->/g, (whole, name: string) => {
    const table = tables[name]
    return table === undefined ? whole : `<!-- ${name} -->\n\n${table}\n\n<!-- end -->`
  })
}
