import type { DropReason } from './counters.ts'
import { decodeMetrics, type ReceivedMetric, UndecodableError } from './payload.ts'

/** Names of the controls, as the specification spells them. */
export const controls = {
  rebirth: 'Node Control/Rebirth',
  nextServer: 'Node Control/Next Server',
  reboot: 'Node Control/Reboot',
  deviceRebirth: 'Device Control/Rebirth',
} as const

/** The actions that a command asks for, and its metrics that were dropped. */
export type CommandReading<Action extends string> = { actions: Action[]; dropped: { reason: DropReason; metric?: string | undefined }[] }

/** A command has a handful of metrics. */
const limits = { maxBytes: 64 * 1024, maxMetrics: 1_000 }

/**
 * Reads an NCMD. A host can cause nothing else: unknown names and aliases, wrong types and undecodable payloads are dropped, each
 * with its reason.
 */
export function readNodeCommand(
  payload: Uint8Array,
  { hasNextServer }: { hasNextServer: boolean },
): CommandReading<'rebirth' | 'next-server'> {
  return read<'rebirth' | 'next-server'>(payload, (name) => {
    if (name === controls.rebirth) return 'rebirth'
    if (name === controls.nextServer && hasNextServer) return 'next-server'
    // The monitor has no permission to restart its machine, so births do not list the control.
    return name === controls.reboot ? { reason: 'refused' } : { reason: 'unknown-metric' }
  })
}

/** Reads a DCMD. No device of this node has outputs. */
export function readDeviceCommand(payload: Uint8Array): CommandReading<'rebirth'> {
  return read<'rebirth'>(payload, (name) => (name === controls.deviceRebirth ? 'rebirth' : { reason: 'unknown-metric' }))
}

function read<Action extends string>(
  payload: Uint8Array,
  meaning: (name: string | undefined) => Action | { reason: DropReason },
): CommandReading<Action> {
  let metrics: ReceivedMetric[]
  try {
    metrics = decodeMetrics(payload, limits)
  } catch (error) {
    if (!(error instanceof UndecodableError)) throw error
    return { actions: [], dropped: [{ reason: error.reason }] }
  }
  const actions = new Set<Action>()
  const dropped: CommandReading<Action>['dropped'] = []
  for (const { name, value } of metrics) {
    const found = meaning(name)
    if (typeof found !== 'string') dropped.push({ ...found, metric: name?.slice(0, 100) })
    else if (typeof value !== 'boolean') dropped.push({ reason: 'wrong-type', metric: name })
    // False is not a request [tck-id-operational-behavior-data-commands-ncmd-rebirth-value].
    else if (value) actions.add(found)
  }
  return { actions: [...actions], dropped }
}
