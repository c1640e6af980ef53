import * as z from 'zod'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { managedBy } from '../resources/labels.ts'
import { placeNames } from './places/place.ts'

/** The ConfigMap in which the leader notes where the file of the region is. */
export const exportConfigMapName = 'skerry-export'
const stateKey = 'state.json'

const moment = z.iso.datetime()
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)

const placeState = z.object({
  /** The file that was written last; absent before the first one. */
  file: z
    .object({
      digest: sha256,
      /** What of it stays as long as the region stays the same. */
      content: sha256,
      bytes: z.int().min(0),
      writtenAt: moment,
      /** When the region was last seen to be what the file says. */
      confirmedAt: moment,
    })
    .optional(),
  /** Why the last attempt was in vain; absent after one that was not. */
  failing: z.object({ since: moment, message: z.string().max(1_000) }).optional(),
})

const exportState = z.partialRecord(z.enum(placeNames), placeState)

/** What is known of the file at each place. Times are RFC 3339, by the clock of whoever led. */
export type ExportState = z.infer<typeof exportState>
export type PlaceState = z.infer<typeof placeState>

/** What the ConfigMap says; nothing of any other text. */
export function readExportState(object: KubernetesObject | undefined): ExportState {
  try {
    return exportState.parse(JSON.parse(String(object?.data?.[stateKey])))
  } catch {
    return {}
  }
}

export function exportConfigMap(namespace: string, state: ExportState): KubernetesObject {
  const metadata = { name: exportConfigMapName, namespace, labels: managedBy }
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [stateKey]: JSON.stringify(state) } }
}
