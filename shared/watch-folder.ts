import { type FSWatcher, watch } from 'node:fs'
import type { Log } from './log.ts'

/**
 * Calls back when something in the folder changes; undefined, and logged, where the system cannot watch it. Events may be lost, so callers
 * also poll. A Secret that Kubernetes mounts changes by the `..data` link in its folder.
 */
export function watchFolder(folder: string, onChange: () => void, log: Log): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, onChange)
    watcher.on('error', (error) => log.warn({ err: error, folder }, 'folder cannot be watched, polling every 30 s instead'))
    return watcher
  } catch (error) {
    log.warn({ err: error, folder }, 'folder cannot be watched, polling every 30 s instead')
    return undefined
  }
}
