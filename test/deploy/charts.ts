import { readFile } from 'node:fs/promises'
import type { ChartFacts } from '../../deploy/bootstrap/chart-facts.ts'

export type Which = 'pinned' | 'before'

/** What the charts of the components are, at the version that the list of components pins and at the one it pinned before. */
export type Contract = {
  date: string
  charts: Record<string, Record<Which, ChartFacts>>
  /** What no manifest shows, by component. */
  beyond: Record<string, Beyond>
}

export type Beyond = {
  /** The least version of Kubernetes that a hook insists on. */
  hookWants?: Record<Which, string>
  /** Secrets that its programs make by themselves: those they make again when they are gone, and those that are lost then. */
  remakes?: string[]
  losesIfGone?: string[]
  /** Services that its programs make. */
  makesServices?: { name: string; namespace: string }[]
  /** Its definitions are in the folder crds/ of a chart within the chart, behind this value. */
  subchart?: string
}

export async function readContract(file = 'test/deploy/charts.json'): Promise<Contract> {
  return JSON.parse(await readFile(file, 'utf8'))
}
