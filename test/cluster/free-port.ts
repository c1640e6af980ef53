import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const given = new Set<number>()

/**
 * A port of loopback that is free at the moment; no two processes get it while both run, and a process gets each port only once. It is below
 * the kernel's range for outgoing connections: otherwise one of those could take it first, even one to this very port, which would then be
 * connected to itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(12_000, 32_000)
    if (given.has(port)) continue
    given.add(port)
    if (!(await reserve(port))) continue
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}

/**
 * Keeps a port from other processes that look for one, until this process ends, however that ends: Linux has names of sockets that are in no
 * file system. Elsewhere nothing is kept.
 * @returns false if another process has it
 */
function reserve(port: number): Promise<boolean> {
  if (process.platform !== 'linux') return Promise.resolve(true)
  const holder = createServer().unref()
  return new Promise((resolve) => {
    holder.once('error', () => resolve(false)).listen(`\0skerry-port-${port}`, () => resolve(true))
  })
}
