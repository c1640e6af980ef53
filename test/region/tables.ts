import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import type { Display } from './display.ts'

type Table = { columnDefinitions: { name: string; priority?: number }[]; rows: { cells: unknown[] }[] }

/** Prints what stands in the cluster now, in the columns that kubectl shows. */
export async function showObjects(admin: Cluster, display: Display): Promise<void> {
  for (const kind of [kinds.Project, kinds.Operation, kinds.CrateDB, kinds.Registration]) {
    const table = await admin.request<Table>({ method: 'GET', path: pathOf(kind), accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' })
    const shown = table.columnDefinitions.flatMap(({ priority = 0 }, index) => (priority === 0 ? [index] : []))
    const head = shown.map((index) => table.columnDefinitions[index]?.name.toUpperCase() ?? '')
    const rows = table.rows.map(({ cells }) => shown.map((index) => String(cells[index] ?? '')))
    const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)))
    const text = (row: string[]) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('   ')
        .trimEnd()
    display.line(`\n$ kubectl get ${kind.plural} -A\n${[head, ...rows].map(text).join('\n')}`)
  }
}

const checksWithinMs = 30_000

/**
 * Prints a line of metrics for each health check, once `expected` is among them and all are up: what was just made is neither known nor
 * up. What is not up after 30 s is shown as it is.
 */
export async function showChecks(monitorUrl: string, expected: string, display: Display): Promise<void> {
  const deadline = performance.now() + checksWithinMs
  for (;;) {
    const lines = (await scrape(monitorUrl)).split('\n')
    const isKnown = lines.some((line) => line.startsWith(`skerry_check_state{check="${expected}",`))
    const isWaiting = !isKnown || lines.some((line) => /^skerry_check_state\{.*state="(unknown|down)".*\} 1$/.test(line))
    if (isWaiting && performance.now() < deadline) {
      display.live('  waiting until all checks are up')
      await sleep(200)
      continue
    }
    display.line(
      `\n$ curl ${monitorUrl}/metrics | grep ^skerry_check_up\n${lines.filter((line) => line.startsWith('skerry_check_up{')).join('\n')}`,
    )
    return
  }
}

async function scrape(monitorUrl: string): Promise<string> {
  const response = await fetch(`${monitorUrl}/metrics`, { signal: AbortSignal.timeout(5_000) })
  const text = await response.text()
  if (!response.ok) throw new Error(`${monitorUrl}/metrics: status ${response.status}: ${text}`)
  return text
}
