import { type FSWatcher, watch } from 'node:fs'
import type { Log } from './log.ts'

/**
 * Calls back when something in the folder changes; undefined where the system cannot tell, which is logged. A hint, no more:
 * whoever relies on it also looks now and then. A Secret that Kubernetes mounts changes by its `..data` link in the folder.
 */
export function watchFolder(folder: string, onChange: () => void, log: Log): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, onChange)
    watcher.on('error', (error) => log.warn({ err: error, folder }, 'cannot watch the folder, looking every half minute instead'))
    return watcher
  } catch (error) {
    log.warn({ err: error, folder }, 'cannot watch the folder, looking every half minute instead')
    return undefined
  }
}
