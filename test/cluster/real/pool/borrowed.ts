import { once } from 'node:events'
import { createConnection } from 'node:net'
import { createInterface } from 'node:readline'
import type { TestCluster } from '../../test-cluster.ts'
import { clusterAccess } from '../access.ts'
import type { Told, Wish } from './wishes.ts'

/**
 * A control plane of the pool at this socket, with these CRDs. It is this process's until the process ends, even if it is stopped before:
 * programs that the process has started may still write to it.
 */
export async function borrowCluster(path: string, crds: string[]): Promise<TestCluster> {
  const socket = createConnection(path)
  await once(socket, 'connect')
  const answers = createInterface({ input: socket })[Symbol.asyncIterator]()

  async function ask(wish: Wish): Promise<Told> {
    socket.ref()
    try {
      socket.write(`${JSON.stringify(wish)}\n`)
      const { value, done } = await answers.next()
      if (done) throw new Error('the pool of control planes has ended')
      const told: Told = JSON.parse(value)
      if ('error' in told) throw new Error(told.error)
      return told
    } finally {
      socket.unref() // it keeps no process alive
    }
  }

  const told = await ask({ crds })
  if (!('access' in told)) throw new Error('the pool has lent nothing')
  return {
    kind: 'real',
    ...clusterAccess(told.access),
    faults: undefined,
    suspend: async () => void (await ask({ do: 'suspend' })),
    resume: async () => void (await ask({ do: 'resume' })),
    stop: async () => {},
  }
}
