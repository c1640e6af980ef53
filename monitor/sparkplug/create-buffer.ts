import type { Log } from '../../shared/log.ts'
import { type ChangeBuffer, createMemoryBuffer } from './buffer.ts'
import type { SparkplugConfig } from './config.ts'
import { createDiskBuffer } from './disk-buffer.ts'

/** The configured buffer: in memory, or on disk if a folder is named. @throws when the folder cannot be made or read */
export function createBuffer({ directory, maxSize, values }: SparkplugConfig['buffer'], { log }: { log: Log }): ChangeBuffer {
  return directory === undefined
    ? createMemoryBuffer({ limit: values })
    : createDiskBuffer({ directory, maxBytes: maxSize, values }, { log })
}
