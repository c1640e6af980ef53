import type { SparkplugNodeState } from '../checks/kind.ts'
import type { WatchedNodes, WatchedState } from './watched-nodes.ts'

/**
 * What checks of watched nodes ask: by the name of the resource, `namespace/name`, or by the address, `group/node`.
 * Where nothing can be heard it is `unheard`: that is not the fault of the node.
 */
export function watchedStateOf(
  watched: Pick<WatchedNodes, 'state' | 'keys'>,
): (name: string) => SparkplugNodeState | 'unheard' | undefined {
  return (name) => {
    const state = watched.state(name) ?? byAddress(watched, name)
    if (state === undefined) return undefined
    if (state.silentMs === undefined) return 'unheard'
    return {
      state: wordOf(state),
      ...(state.lastSeen !== undefined && { lastSeen: state.lastSeen }),
      rebirthRequests: state.rebirthRequests,
    }
  }
}

function byAddress(watched: Pick<WatchedNodes, 'state' | 'keys'>, name: string): WatchedState | undefined {
  for (const key of watched.keys()) {
    const state = watched.state(key)
    if (state?.address && `${state.address.group}/${state.address.node}` === name) return state
  }
  return undefined
}

function wordOf({ liveness, isDead, lastSeen }: WatchedState): SparkplugNodeState['state'] {
  if (isDead) return 'dead'
  if (liveness !== 'unknown') return liveness === 'alive' ? 'online' : liveness
  // Nothing came on this connection, which is younger than the silence that is allowed: what was heard before it still counts.
  return lastSeen === undefined ? 'unseen' : 'online'
}
