import { setTimeout as sleep } from 'node:timers/promises'
import { type PooledPlane, startPooledPlane } from './plane.ts'

/** A further plane costs as much processor time as waiting this long is worth. */
const worthWaitingMs = 10_000
/** Each takes most of a gigabyte. */
const mostIdle = 6

/** Control planes of one process, lent one after another. */
export type Planes = {
  /** One that looks as new, with these CRDs; a further one is started where none is free, or about to be. */
  lend(crds: string[]): Promise<PooledPlane>
  /** Resolves when it looks as new, or is stopped: where it could not be brought back. */
  takeBack(plane: PooledPlane): Promise<void>
  /** Stops all of them, those that are lent too. */
  stop(): Promise<void>
}

/** @param warn is told why a plane could not be brought back */
export function createPlanes(warn: (why: string) => void): Planes {
  const all = new Set<PooledPlane>()
  /** Those that came back last are last. */
  const idle: PooledPlane[] = []
  const comingBack = new Map<PooledPlane, Promise<void>>()
  let isStopped = false

  const restMs = (plane: PooledPlane) => Math.max(0, plane.restsUntil - performance.now())
  const drop = (plane: PooledPlane) => {
    all.delete(plane)
    return plane.stop()
  }

  async function takeIdle(fits: (plane: PooledPlane) => boolean): Promise<PooledPlane | undefined> {
    const [plane] = idle.filter(fits).sort((one, other) => restMs(one) - restMs(other))
    if (!plane || (restMs(plane) > worthWaitingMs && all.size < mostIdle)) return undefined
    idle.splice(idle.indexOf(plane), 1)
    await sleep(restMs(plane))
    return plane
  }

  async function start(crds: string[]): Promise<PooledPlane> {
    const plane = await startPooledPlane(crds)
    all.add(plane)
    return plane
  }

  /** Whether it answers: one that has rested may have died meanwhile. */
  async function isLent(plane: PooledPlane): Promise<boolean> {
    try {
      await plane.lend()
      return true
    } catch (error) {
      warn(`A control plane is stopped, since it does not answer: ${error}`)
      await drop(plane)
      return false
    }
  }

  async function bringBack(plane: PooledPlane): Promise<void> {
    try {
      await plane.takeBack()
    } catch (error) {
      if (isStopped) return
      warn(`A control plane is stopped, since it could not be brought back: ${error}`)
      return drop(plane)
    }
    idle.push(plane)
    const [longest] = idle
    if (idle.length <= mostIdle || !longest) return
    idle.shift()
    await drop(longest)
  }

  return {
    async lend(crds) {
      const fits = (plane: PooledPlane) => String(plane.crds) === String(crds)
      for (;;) {
        const soon = [...comingBack].filter(([plane]) => fits(plane)).map(([, back]) => back)
        const plane = (await takeIdle(fits)) ?? (soon.length === 0 ? await start(crds) : undefined)
        if (plane && (await isLent(plane))) return plane
        if (!plane) await Promise.race(soon)
      }
    },
    async takeBack(plane) {
      const back = bringBack(plane).finally(() => comingBack.delete(plane))
      comingBack.set(plane, back)
      await back
    },
    async stop() {
      isStopped = true
      await Promise.all([...all].map(drop))
    },
  }
}
