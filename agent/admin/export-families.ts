import { type Family, family } from '../../shared/prometheus.ts'
import type { ExportState } from '../export/state.ts'

/** The file that the region can be made again from, by the place where it is kept. Each replica knows the same. */
export function exportFamilies(state: ExportState): Family[] {
  // A place that waits, such as a cloud that the region has not joined, has not failed.
  const places = Object.entries(state).filter(([, { file, failing }]) => file !== undefined || failing !== undefined)
  const gauge = (name: string, help: string, value: Parameters<typeof family>[3]) =>
    family('gauge', `skerry_agent_export_${name}`, help, value)
  return [
    gauge(
      'last_success_timestamp_seconds',
      'When the region was last seen to be what its file at this place says; 0 if it was never written there.',
      places.map(([place, { file }]) => [{ place }, file === undefined ? 0 : Date.parse(file.confirmedAt) / 1000]),
    ),
    gauge(
      'failing',
      '1 while the file of the region cannot be written to this place.',
      places.map(([place, { failing }]) => [{ place }, failing === undefined ? 0 : 1]),
    ),
    gauge(
      'file_bytes',
      'Size of the file of the region at this place.',
      places.flatMap(([place, { file }]) => (file === undefined ? [] : [[{ place }, file.bytes] as const])),
    ),
  ]
}
