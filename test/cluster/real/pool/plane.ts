import { createHttp, type Http } from '../../client/http.ts'
import type { Access } from '../access.ts'
import { startControlPlane } from '../control-plane.ts'
import { define } from '../definitions.ts'
import { bringBack, readSnapshot } from './etcd.ts'
import { quotasWritten, servedGroups, untilServed } from './served.ts'

/** The admission of quotas believes for so long what it has once looked up for a namespace. */
const quotasRememberedMs = 30_000

/** A control plane that is lent to one after another, and looks as new to each. */
export type PooledPlane = {
  /** The CRDs that it has whenever it is lent. */
  crds: string[]
  access: Access
  /** When it may be lent again, by `performance.now()`. */
  restsUntil: number
  lend(): Promise<void>
  suspend(): Promise<void>
  resume(): Promise<void>
  /** Makes it look as new. After an error it is of no use. */
  takeBack(): Promise<void>
  stop(): Promise<void>
}

/** Starts a control plane with these CRDs. It is not lent yet. */
export async function startPooledPlane(crds: string[]): Promise<PooledPlane> {
  const plane = await startControlPlane()
  try {
    await define(plane.access, crds)
    const { url, ca, adminToken: token } = plane.access
    const http = createHttp({ url, ca, token })
    const asNew = await remember(http, plane.etcdUrl)
    let isSuspended = false
    let quotas = 0

    const pooled: PooledPlane = {
      crds,
      access: plane.access,
      restsUntil: 0,
      async lend() {
        await plane.proceed()
        plane.startManager()
      },
      async suspend() {
        isSuspended = true
        await plane.suspend()
      },
      async resume() {
        await plane.resume()
        isSuspended = false
        quotas = 0
      },
      async takeBack() {
        await plane.stopManager()
        if (isSuspended) await pooled.resume()
        const written = await quotasWritten(http)
        if (written !== quotas) pooled.restsUntil = performance.now() + quotasRememberedMs
        quotas = written
        await asNew.restore()
        plane.pause()
      },
      async stop() {
        http.close()
        await plane.stop()
      },
    }
    return pooled
  } catch (error) {
    await plane.stop()
    throw error
  }
}

/** Remembers how a control plane is now, and brings that back. */
async function remember(http: Http, etcdUrl: string): Promise<{ restore(): Promise<void> }> {
  const groups = await servedGroups(http)
  const snapshot = await readSnapshot(etcdUrl)
  return {
    async restore() {
      // The API server itself may answer a loss by a write, such as that of the registration of a group whose CRD it still has.
      for (let keys = await bringBack(etcdUrl, snapshot); keys.length > 0; keys = await bringBack(etcdUrl, snapshot)) {
        await untilServed(http, groups, keys)
      }
    },
  }
}
