import { monitorScenarios } from './monitor-scenarios.ts'
import { regionScenarios } from './region-scenarios.ts'

/** Everything that many go through, by name. */
export const scenarios = { ...regionScenarios, ...monitorScenarios }

/** The name of a scenario. */
export type Name = keyof typeof scenarios

/** Whether it is one of regions; the others are those of monitors. */
export function isOfRegions(name: Name): boolean {
  return Object.hasOwn(regionScenarios, name)
}
