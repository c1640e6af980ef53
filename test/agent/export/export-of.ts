import { RegionMaker } from '../../../agent/export/maker.ts'
import { createAcceptedState } from '../../../agent/operations/accepted.ts'
import { type WrittenRegionFile, writeRegionFile } from '../../../agent/region-file/writing.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { ActingRegion } from '../operations/acting-region.ts'

/** The region file of a region, made now. */
export async function exportOf({ admin, caches, journal }: ActingRegion, id = 'harbour-1'): Promise<WrittenRegionFile> {
  const maker = new RegionMaker({
    config: { region: { id } },
    caches,
    accepted: createAcceptedState({ journal, caches }),
    journal,
    kubernetes: { current: 'v1.34.1' },
    clocks: { read: () => ({ cloud: undefined, apiServer: undefined, nodes: new Map(), steps: 0, lastStep: undefined }) },
    stack: { workloads: [], components: () => ({}) },
    cluster: admin,
    clock: systemClock,
  })
  return writeRegionFile((await maker.make(new AbortController().signal)).document)
}
