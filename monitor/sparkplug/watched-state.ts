import type { SparkplugNodeState } from '../checks/kind.ts'
import type { WatchedState } from './watched-node.ts'
import type { WatchedNodes } from './watched-nodes.ts'

/**
 * Finds the state of a watched node for its check, in the words of the table in watched-node.ts. The name is that of the resource,
 * `namespace/name`, or the address, `group/node`.
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
  // The present connection is younger than the interval: what was heard before it still counts.
  return lastSeen === undefined ? 'unseen' : 'online'
}
