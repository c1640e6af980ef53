import { endpoints } from './contract/endpoints.ts'
import { exportAnswer } from './contract/export.ts'
import { failures } from './contract/failures.ts'
import { CloudFault } from './fault.ts'
import type { Session } from './link.ts'

/** Gives the cloud the file that the region can be made again from. */
export type FileSender = {
  /** Whether the region has joined, and has a credential that holds. */
  isReady(): boolean
  /**
   * Resolves once the cloud says that it has stored the file.
   * @param packed the file, compressed with gzip
   * @param digest of its document, in lower-case hexadecimal
   * @throws CloudFault with what a person can do; another class of refusal than that of the file is one of the region
   */
  send(packed: Buffer, digest: string): Promise<void>
}

export function createFileSender({ session, refused }: { session: () => Session | undefined; refused: () => void }): FileSender {
  return {
    isReady: () => session() !== undefined,
    async send(packed, digest) {
      const open = session()
      if (open === undefined) throw new CloudFault('unreachable', 'The region has lost its credential meanwhile.')
      try {
        const { stored } = await open.call({ endpoint: endpoints.export, packed, answer: exportAnswer })
        if (stored !== digest) throw new CloudFault('garbled', 'The cloud says that it has stored another file than the one that was sent.')
      } catch (error) {
        if (!(error instanceof CloudFault) || error.kind !== 'refused') throw error
        const { failure, message, retryAfterMs } = error
        if (failure === 'export-refused')
          throw new CloudFault(failure, `${message} ${failures[failure].action}`, { cause: error, retryAfterMs })
        refused()
        throw error
      }
    },
  }
}
