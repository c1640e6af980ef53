import type { VolumeManifest } from '../../resources/volume-manifest.ts'
import { dataOf } from '../../resources/volume-source.ts'
import type { ImportedDeletion, ImportObstacle, Judged } from './verdict.ts'

/** What is wrong with volumes of a file beside each other. */
export type SameData = (volumes: readonly VolumeManifest[]) => ImportObstacle[]

/**
 * Finds volumes of one file that are the same data, under several names: two databases would destroy it, or one would read that of the other.
 * Hosts have their names here by then: two of them may have become one. Pure.
 */
export function sameDataIn(judged: readonly Judged[], deletions: readonly ImportedDeletion[]): SameData {
  const names = new Map<string, string[]>()
  for (const { volumes } of [...judged.map(({ entry }) => entry), ...deletions])
    for (const { metadata, spec } of volumes) {
      const data = dataOf({ spec })
      if (data !== undefined) names.set(data, [...(names.get(data) ?? []), metadata.name])
    }
  return (volumes) =>
    volumes.flatMap(({ metadata, spec }): ImportObstacle[] => {
      const data = dataOf({ spec })
      const other = data === undefined ? undefined : names.get(data)?.find((name) => name !== metadata.name)
      if (data === undefined || other === undefined) return []
      const message = `the data of volume ${metadata.name} (${data.slice(0, 200)}) is that of volume ${other} in the file, too`
      return [{ code: 'handle-taken', message }]
    })
}

/** The same, with those refused that would share their data. One that stands is left alone. */
export function withoutSameData(judged: readonly Judged[], sameData: SameData): Judged[] {
  return judged.map((each) => {
    const found = each.verdict.verdict === 'unchanged' ? [] : sameData(each.entry.volumes)
    if (found.length === 0) return each
    return { ...each, verdict: { ...each.verdict, verdict: 'refused', obstacles: [...each.verdict.obstacles, ...found], notes: [] } }
  })
}
