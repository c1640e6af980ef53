import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import type { Display } from './display.ts'

type Table = { columnDefinitions: { name: string; priority?: number }[]; rows: { cells: unknown[] }[] }

/** Prints what stands in the cluster now, in the columns that kubectl shows. */
export async function showObjects(admin: Cluster, display: Display): Promise<void> {
  for (const kind of [kinds.Project, kinds.Operation, kinds.CrateDB]) {
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
