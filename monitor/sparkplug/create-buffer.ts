import type { Log } from '../../shared/log.ts'
import { type ChangeBuffer, createMemoryBuffer } from './buffer.ts'
import type { SparkplugConfig } from './config.ts'
import { createDiskBuffer } from './disk-buffer.ts'

/** The buffer that the configuration asks for: in memory, or on disk if it names a folder. @throws if that cannot be made or read */
export function createBuffer({ directory, maxSize, values }: SparkplugConfig['buffer'], { log }: { log: Log }): ChangeBuffer {
  return directory === undefined
    ? createMemoryBuffer({ limit: values })
    : createDiskBuffer({ directory, maxBytes: maxSize, values }, { log })
}
