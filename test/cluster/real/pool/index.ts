import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createPlanes, type Planes } from './planes.ts'
import type { Told, Wish } from './wishes.ts'

/** A pool of real control planes, for the processes that have `SKERRY_CLUSTER_POOL` in their environment. */
export type Pool = {
  /** The path of its socket. */
  path: string
  /** Stops all planes. */
  stop(): Promise<void>
}

/**
 * Lends control planes to processes: to start one takes seconds of processor time for each process, to make one look as new a fraction of
 * one. Whoever borrows has one connection for each; when that ends, with the process at the latest, the plane is brought back.
 */
export async function startPool(): Promise<Pool> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-pool-'))
  const planes = createPlanes((why) => process.stderr.write(`${why}\n`))
  const server = createServer((socket) => void lendOver(socket, planes))
  const path = join(folder, 'socket')
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  return {
    path,
    async stop() {
      server.close()
      await planes.stop()
      await rm(folder, { recursive: true })
    },
  }
}

/** Answers each line of one borrower. */
async function lendOver(socket: Socket, planes: Planes): Promise<void> {
  socket.on('error', () => {}) // as one that has ended
  const tell = (told: Told) => void socket.write(`${JSON.stringify(told)}\n`)
  let plane: Awaited<ReturnType<Planes['lend']>> | undefined
  for await (const line of createInterface({ input: socket })) {
    const wish: Wish = JSON.parse(line)
    try {
      if ('crds' in wish) {
        plane = await planes.lend(wish.crds)
        tell({ access: plane.access })
      } else {
        await plane?.[wish.do]()
        tell({ done: true })
      }
    } catch (error) {
      tell({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    }
  }
  if (plane) await planes.takeBack(plane)
}
