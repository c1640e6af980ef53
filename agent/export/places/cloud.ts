import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { LinkProfile } from '../../../shared/link/index.ts'
import { type Place, PlaceFault } from './place.ts'

/** What gives the cloud the file. */
export type CloudLink = {
  sender: {
    isReady(): boolean
    /** @throws Error with a sentence for people, and how long the cloud asks to be left alone, in milliseconds */
    send(packed: Buffer, digest: string): Promise<void>
  }
  meter: { readonly profile: LinkProfile }
}

/** The least time between two files that a profile of the link allows, in milliseconds. */
const shortest: Record<LinkProfile, number> = { normal: 0, metered: 3_600_000, critical: 86_400_000 }

const pack = promisify(gzip)

/** The cloud that the region has joined. */
export function cloudPlace({ sender, meter }: CloudLink): Place {
  return {
    name: 'cloud',
    waits: () => (sender.isReady() ? undefined : 'The region has not joined its cloud, or has no credential at the moment.'),
    pauseMs: () => shortest[meter.profile],
    async write({ bytes, digest }, signal) {
      const packed = await pack(bytes)
      signal.throwIfAborted()
      try {
        await untilAborted(sender.send(packed, digest), signal)
      } catch (error) {
        if (!isCloudFault(error)) throw error
        throw new PlaceFault(error.message, { cause: error, retryAfterMs: error.retryAfterMs })
      }
    },
  }
}

function isCloudFault(error: unknown): error is Error & { retryAfterMs: number | undefined } {
  return error instanceof Error && error.name === 'CloudFault'
}

/** The call goes on: the cloud may have taken the file by then, which does no harm. @throws the reason of the signal */
async function untilAborted(call: Promise<void>, signal: AbortSignal): Promise<void> {
  const settled = new AbortController()
  try {
    await Promise.race([
      call,
      new Promise<never>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true, signal: settled.signal })
      }),
    ])
  } finally {
    settled.abort()
  }
}
