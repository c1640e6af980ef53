import * as z from 'zod'
import type { Offset } from '../../../shared/clock-offset.ts'
import { shown } from '../../../shared/clock-wording.ts'
import type { ClockReading } from '../../clock/index.ts'

const offset = z
  .object({
    offsetMs: z.int().describe('How far it is ahead of the clock of the agent').meta({ example: 12 }),
    uncertaintyMs: z.int().describe('By how much that may be wrong').meta({ example: 30 }),
  })
  .meta({ id: 'ClockOffset' })

export const clockSchema = z
  .object({
    cloud: offset.nullable().describe('The clock of the cloud; null on a replica that does not lead, and without a cloud'),
    apiServer: offset.nullable().describe('The clock of the API server'),
    nodes: z
      .object({
        measured: z.int().describe('Nodes whose clocks are known').meta({ example: 3 }),
        apartMs: z.int().nullable().describe('How far the clocks of two nodes are apart at most').meta({ example: 8 }),
        off: z
          .array(z.object({ hostname: z.string().meta({ example: 'node-2' }), ...offset.shape }))
          .describe('Those that differ from the clock of the agent by more than half a second, at most ten, the worst first')
          .meta({ example: [] }),
      })
      .describe('The clocks of the nodes'),
    steps: z.int().describe('How often the clock of the agent was set since its start').meta({ example: 0 }),
    lastStep: z
      .object({ at: z.iso.datetime().meta({ example: '2026-01-31T12:00:00Z' }), byMs: z.int().meta({ example: -10_800_000 }) })
      .nullable()
      .describe('The last time')
      .meta({ example: null }),
  })
  .describe("How other clocks compare with that of the agent's host. The agent sets none of them")

/** A node whose clock differs by less is not worth a line. */
const noticeableMs = 500
/** The most nodes that are named. */
const mostNamed = 10

/** The clocks as the region shows them. */
export function clockShown({ cloud, apiServer, nodes, steps, lastStep }: ClockReading): z.input<typeof clockSchema> {
  const all = [...nodes].map(([hostname, offset]) => ({ hostname, ...offset }))
  const off = all.filter(({ offsetMs }) => Math.abs(offsetMs) > noticeableMs)
  return {
    cloud: cloud ?? null,
    apiServer: apiServer ?? null,
    nodes: {
      measured: nodes.size,
      apartMs: apartMs([...nodes.values()]),
      off: off.sort((a, b) => Math.abs(b.offsetMs) - Math.abs(a.offsetMs)).slice(0, mostNamed),
    },
    steps,
    lastStep: lastStep ? { at: shown(lastStep.at), byMs: lastStep.byMs } : null,
  }
}

function apartMs(nodes: readonly Offset[]): number | null {
  const offsets = nodes.map(({ offsetMs }) => offsetMs)
  return offsets.length < 2 ? null : Math.max(...offsets) - Math.min(...offsets)
}
