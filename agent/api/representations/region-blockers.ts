import * as z from 'zod'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { Target } from '../../resources/kind.ts'
import { hasEnded, isWaitingCode, type Obstacle, type Operation } from '../../resources/operation.ts'

export const regionBlockerSchema = z.object({
  project: z.string().meta({ example: 'harbour' }),
  database: z.string().optional().meta({ example: 'tidal-gauge' }),
  code: z.string().describe('One word for programs').meta({ example: 'PodUnschedulable' }),
  message: z.string().describe('In a sentence').meta({ example: 'No host has room for pod crate-data-hot-tidal-gauge-2.' }),
})
type RegionBlocker = z.input<typeof regionBlockerSchema>

/** The most characters of a message here; the API has it whole at its target. */
const maxMessage = 200

/** What stands in the way of open operations and of projects, each once, by target. Waiting for other operations is none. Pure. */
export function regionBlockers(operations: Iterable<Operation>, projects: Iterable<KubernetesObject>): RegionBlocker[] {
  const all = new Map<string, RegionBlocker>()
  const tell = (place: { project: string; database?: string } | undefined, blockers: readonly Obstacle[] = []) => {
    if (place === undefined) return
    const { project, database } = place
    for (const { code, message } of blockers) {
      if (isWaitingCode(code)) continue
      const blocker = { project, ...(database !== undefined && { database }), code, message: message.slice(0, maxMessage) }
      all.set(JSON.stringify([project, database ?? '', code, blocker.message]), blocker)
    }
  }
  for (const operation of operations) if (!hasEnded(operation)) tell(placeOf(operation.spec.target), operation.status?.blockers)
  for (const { metadata, status } of projects) tell({ project: metadata.name }, status?.blockers)
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, blocker]) => blocker)
}

function placeOf(target: Target): { project: string; database?: string } | undefined {
  if (target.kind === 'region') return undefined
  return target.kind === 'database' ? { project: target.project, database: target.database } : { project: target.project }
}
