import { globSync, readFileSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { parse } from 'yaml'

/** Where runbooks are, as rules and the chart's values have it. */
export const runbooks = 'https://skerry.dev/docs/alerts.md'

export type Rule = {
  /** The alert's name, or undefined for a recording rule. */
  alert?: string
  record?: string
  expr: string
  for?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
}

export const ruleFiles = globSync('deploy/prometheus/*.rules.yaml')
  .sort()
  .map((file) => resolve(file))

export const rules: Rule[] = ruleFiles.flatMap((file) =>
  (parse(readFileSync(file, 'utf8')).groups as { rules: Rule[] }[]).flatMap((group) => group.rules),
)
export const alerts = rules.filter((rule): rule is Rule & { alert: string } => rule.alert !== undefined)

export type Panel = {
  id: number
  type: string
  title: string
  description?: string
  datasource?: { type: string; uid: string }
  gridPos: { x: number; y: number; w: number; h: number }
  fieldConfig?: { defaults: { unit?: string } }
  targets?: { refId: string; expr: string; legendFormat?: string }[]
}
export type Variable = { name: string; type: string; label: string; query: string }
export type Dashboard = {
  file: string
  uid: string
  title: string
  schemaVersion: number
  tags: string[]
  templating: { list: Variable[] }
  panels: Panel[]
}

export const dashboards: Dashboard[] = globSync('deploy/grafana/*.json')
  .sort()
  .map((file) => ({ file: basename(file), ...JSON.parse(readFileSync(file, 'utf8')) }))
