import { readFile } from 'node:fs/promises'
import type { Contract } from '../../deploy/bootstrap/chart-contract.ts'

/** What the charts of all components are. `npm run check:charts` compares it with their repositories, and writes it. */
export async function readContract(file = 'test/deploy/charts.json'): Promise<Contract> {
  return JSON.parse(await readFile(file, 'utf8'))
}
