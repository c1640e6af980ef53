import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, realpath, rename, rm } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

/**
 * The folder of the first `npm start` in a checkout; the folders of others that run at the same time are in it. `SKERRY_FOLDER` names
 * another one, for a test of who gets which: other tests start regions meanwhile.
 */
export const firstFolder = process.env.SKERRY_FOLDER ?? '.skerry'

/** A folder that belongs to one running `npm start`: the number is 1 for the first one of the checkout, 2 for the next. */
export type OwnFolder = { folder: string; number: number; release(): Promise<void> }

const most = 99

/**
 * Takes the first of `.skerry`, `.skerry/2`, `.skerry/3` … that no running process has. A process that was killed has none.
 * @throws Error when there are too many
 */
export async function takeFolder(): Promise<OwnFolder> {
  for (let number = 1; number <= most; number++) {
    const folder = number === 1 ? firstFolder : `${firstFolder}/${number}`
    await mkdir(folder, { recursive: true })
    const lock = await take(folder)
    if (lock !== undefined) return { folder, number, release: async () => void lock.close() }
  }
  throw new Error(`${most} regions run in this checkout already.`)
}

/** Undefined while another process has it. */
async function take(folder: string): Promise<Server | undefined> {
  const [inFolder, elsewhere] = await locksOf(folder)
  // Some file systems, such as those of other machines, have no sockets.
  return listenAt(inFolder).catch(() => listenAt(elsewhere))
}

/**
 * A lock is a socket, since the system closes it with its process, however that ends. Its path is relative, since a socket's path may have
 * no more than 104 bytes.
 */
async function locksOf(folder: string): Promise<[string, string]> {
  const hash = createHash('sha256')
    .update(await realpath(folder))
    .digest('hex')
  const name = `skerry-${hash.slice(0, 16)}`
  if (process.platform === 'win32') return [`\\\\.\\pipe\\${name}`, `\\\\.\\pipe\\${name}`]
  return [path.join(folder, 'lock'), path.join(tmpdir(), name)]
}

/** Undefined while another process listens there. @throws the system's error when it cannot be listened at */
async function listenAt(lock: string): Promise<Server | undefined> {
  for (;;) {
    const server = createServer((socket) => socket.destroy())
    try {
      server.listen(lock)
      await once(server, 'listening')
      server.unref()
      return server
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    }
    if (await isHeld(lock)) return undefined
    // Left by a process that was killed. It is moved aside before it is removed: meanwhile another process may have removed it and have
    // put its own into the place.
    const aside = `${lock}.${process.pid}`
    await rename(lock, aside).catch(() => {})
    if (await isHeld(aside)) {
      await rename(aside, lock)
      return undefined
    }
    await rm(aside, { force: true })
  }
}

async function isHeld(lock: string): Promise<boolean> {
  const socket = connect(lock)
  try {
    await once(socket, 'connect')
    return true
  } catch (error) {
    return !['ECONNREFUSED', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')
  } finally {
    socket.destroy()
  }
}
