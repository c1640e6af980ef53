import type { Check, CheckStatus } from '../../../monitor/prober/check.ts'
import { checkMetrics, summaryMetrics } from '../../../monitor/region/devices/checks.ts'
import { componentMetrics } from '../../../monitor/region/devices/component.ts'
import { databaseMetrics } from '../../../monitor/region/devices/database.ts'
import { hostMetrics } from '../../../monitor/region/devices/host.ts'
import { databaseView, deploymentView, hostView } from '../../../monitor/region/views.ts'
import type { SparkplugMetric } from '../../../monitor/sparkplug/tracked-metric.ts'

/** The meaning of the metrics of a check, which have no descriptions in births. */
const checkDescriptions: Record<string, string> = {
  State: 'up, degraded, down or unknown; its properties are kind, target and severity of the check',
  Up: 'True when up or degraded, false when down, null when unknown',
  Since: 'Time of the last change of State',
  Reason: 'Why it is not up; empty when it is',
  Detail: 'What the check saw, in a sentence that says what to do if something is wrong',
  Duration: 'Duration of the last run; changes up to 0.1 s are not published',
}

/**
 * The tables of docs/monitoring-devices.md, made by the functions that make the metrics.
 * @param node the metrics of the node, as `nodeMetrics` makes them
 */
export function describeDevices(node: readonly SparkplugMetric[]): Record<string, string> {
  const object = { apiVersion: '', kind: '', metadata: { name: 'example', namespace: 'project-example' } }
  const status = { check: exampleCheck, state: 'up', since: 0, detail: '', measurements: [], lastDuration: 0 } as unknown as CheckStatus
  const ofCheck = checkMetrics(status).map((metric) => {
    const name = metric.name.slice(exampleCheck.name.length + 1)
    return { ...metric, name: `CHECK/${name}`, description: checkDescriptions[name] ?? '' }
  })
  return {
    node: tableOf(node),
    host: tableOf(hostMetrics(hostView(object), { millicores: 0, memory: 0, pods: 0 })),
    database: tableOf(databaseMetrics(databaseView({ ...object, spec: { nodes: { data: [{}] } } }), { ready: 0, used: 0 })),
    component: tableOf(componentMetrics([deploymentView(object)])),
    checks: tableOf([...summaryMetrics([]), ...ofCheck]),
  }
}

const exampleCheck = { name: 'example', kind: 'tcp', target: '', severity: 'warning' } as Check

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
