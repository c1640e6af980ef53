import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from '../cluster/index.ts'
import { type Peer, says, startPeer } from './peer.ts'

/** One ZooKeeper with the four-letter words given. `lonely`: it is one of an ensemble whose other members are not there, so it never serves. */
export async function startZookeeper(
  t: TestContext,
  { words = 'mntr,srvr,ruok', lonely = false } = {},
): Promise<Peer & { adminUrl: string }> {
  const [port, adminPort, ...quorum] = await Promise.all(Array.from({ length: 8 }, freePort))
  const peer = await startPeer(t, {
    name: 'zookeeper',
    package: 'zookeeperd',
    program: '/usr/share/java/zookeeper.jar',
    port: port as number,
    async prepare(folder, _daemons, jar) {
      const data = join(folder, 'data')
      await mkdir(data)
      const lines = [
        `dataDir=${data}`,
        `clientPort=${port}`,
        'clientPortAddress=127.0.0.1',
        'tickTime=500',
        `4lw.commands.whitelist=${words}`,
      ]
      lines.push(`admin.serverPort=${adminPort}`, 'admin.serverAddress=127.0.0.1')
      if (lonely) {
        await writeFile(join(data, 'myid'), '1')
        lines.push('initLimit=5', 'syncLimit=2')
        for (const id of [1, 2, 3]) lines.push(`server.${id}=127.0.0.1:${quorum[2 * id - 2]}:${quorum[2 * id - 1]}`)
      }
      await writeFile(join(folder, 'zoo.cfg'), `${lines.join('\n')}\n`)
      return [
        '/usr/bin/java',
        '-Xmx64m',
        '-XX:TieredStopAtLevel=1',
        // Debian's jar names neither a logger nor the servlet API, without which the AdminServer does not start.
        '-cp',
        [jar, '/usr/share/java/slf4j-simple.jar', '/usr/share/java/servlet-api.jar'].join(':'),
        'org.apache.zookeeper.server.quorum.QuorumPeerMain',
        join(folder, 'zoo.cfg'),
      ]
    },
    ready: async () => {
      const answer = await says(port as number, 'srvr')
      if (!(lonely ? /not currently serving/ : /Mode:|not in the whitelist/).test(answer)) throw new Error(answer)
    },
  })
  return { ...peer, adminUrl: `http://127.0.0.1:${adminPort}` }
}
