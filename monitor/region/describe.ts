import type { Check, CheckStatus } from '../prober/check.ts'
import type { SparkplugMetric } from '../sparkplug/tracked-metric.ts'
import { checkMetrics, summaryMetrics } from './devices/checks.ts'
import { componentMetrics } from './devices/component.ts'
import { databaseMetrics } from './devices/database.ts'
import { hostMetrics } from './devices/host.ts'
import { databaseView, deploymentView, hostView } from './views.ts'

/** What the metrics of a check mean; in births they bear no descriptions, since a group may have thousands of them. */
const checkDescriptions: Record<string, string> = {
  State: 'up, degraded, down or unknown; its properties are kind, target and severity of the check',
  Up: 'It works, perhaps degraded; null while it is unknown',
  Since: 'When it took its state',
  Reason: 'Why it is not up; empty when it is',
  Detail: 'What was seen, in a sentence that says what to do where something is wrong',
  Duration: 'How long the last run took; differences up to 0.1 s are not told',
}

/**
 * The tables of docs/monitoring-devices.md: made from the functions that make the metrics, so that they cannot say anything else.
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
