import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { freePort } from '../cluster/index.ts'
import { type Signed, writeCertificate } from './certificates.ts'
import { type Peer, says, startPeer } from './peer.ts'

const run = promisify(execFile)

/** Who may log in, and where each may read and write. Everyone may do everything when left out. */
export type MosquittoUser = { name: string; password: string; topics: string[] }

/** mosquitto: on `port` in the clear, or with TLS when it gets a certificate. `settings` are lines of its configuration. */
export async function startMosquitto(
  t: TestContext,
  { users, tls, settings = [], port }: { users?: MosquittoUser[]; tls?: Signed; settings?: string[]; port?: number } = {},
): Promise<Peer> {
  const listening = port ?? (await freePort())
  return startPeer(t, {
    name: 'mosquitto',
    package: 'mosquitto',
    program: '/usr/sbin/mosquitto',
    port: listening,
    async prepare(folder, _daemons, program) {
      const lines = [
        'user root',
        'persistence false',
        `listener ${listening} 127.0.0.1`,
        `allow_anonymous ${users === undefined}`,
        ...settings,
      ]
      if (tls) {
        const { ca, cert, key } = await writeCertificate(folder, tls)
        lines.push(`cafile ${ca}`, `certfile ${cert}`, `keyfile ${key}`)
      }
      if (users) {
        const passwords = join(folder, 'passwords')
        await writeFile(passwords, users.map(({ name, password }) => `${name}:${password}\n`).join(''), { mode: 0o600 })
        await run('mosquitto_passwd', ['-U', passwords])
        const rights = users.map(({ name, topics }) => `user ${name}\n${topics.map((topic) => `topic readwrite ${topic}\n`).join('')}`)
        await writeFile(join(folder, 'rights'), rights.join('\n'), { mode: 0o600 })
        lines.push(`password_file ${passwords}`, `acl_file ${join(folder, 'rights')}`)
      }
      await writeFile(join(folder, 'mosquitto.conf'), `${lines.join('\n')}\n`)
      return [program, '-c', join(folder, 'mosquitto.conf')]
    },
    ready: () => says(listening),
  })
}
