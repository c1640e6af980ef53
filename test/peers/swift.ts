import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from '../cluster/index.ts'
import { answers, type Peer, startPeer } from './peer.ts'

/** A real S3 store: OpenStack Swift 2.30 with s3api, of Debian. Its folder is on a disk with extended attributes. */
export type SwiftPeer = Peer & {
  /** Leads to the same objects, and takes nothing. */
  readOnlyPort: number
  region: string
  /** The empty one; `full` is another. */
  bucket: string
  owner: { accessKeyId: string; secretAccessKey: string }
  /** A key without rights. */
  stranger: { accessKeyId: string; secretAccessKey: string }
  /** Buckets are found before it too. */
  domain: string
}

/** Starts it on loopback. It verifies signatures, regions and times, and has quotas. */
export async function startSwift(t: TestContext): Promise<SwiftPeer> {
  const [port, readOnlyPort] = [await freePort(), await freePort()]
  const peer = await startPeer(t, {
    name: 'swift',
    package: 'swift-proxy swift-account swift-container swift-object',
    program: '/usr/bin/swift-proxy-server',
    port,
    prepare: async (folder) => [
      '/usr/bin/python3',
      join(import.meta.dirname, 'object-store.py'),
      folder,
      String(port),
      String(readOnlyPort),
    ],
    // Without a signature it takes the path for one of Swift's own.
    ready: () => Promise.all([port, readOnlyPort].map((each) => answers(`http://127.0.0.1:${each}/harbour-snapshots`, 412))),
  })
  return {
    ...peer,
    readOnlyPort,
    region: 'eu-north-1',
    bucket: 'harbour-snapshots',
    owner: { accessKeyId: 'test:tester', secretAccessKey: 'testing' },
    stranger: { accessKeyId: 'test:stranger', secretAccessKey: 'looking' },
    domain: 's3.harbour.example',
  }
}
