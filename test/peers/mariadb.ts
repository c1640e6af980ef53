import { execFile } from 'node:child_process'
import { chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import mysql from 'mysql2/promise'
import { freePort } from '../cluster/index.ts'
import { type Signed, writeCertificate } from './certificates.ts'
import { type Peer, startPeer } from './peer.ts'

const run = promisify(execFile)

/** Of the user `harbour`, who may do everything. */
export const mariadbPassword = 'harbour light'

/** MariaDB with the user `harbour` on loopback. `settings` are options of the server, without dashes in front. With `tls`, it offers TLS. */
export async function startMariadb(t: TestContext, { settings = [], tls }: { settings?: string[]; tls?: Signed } = {}): Promise<Peer> {
  const port = await freePort()
  return startPeer(t, {
    name: 'mariadbd',
    package: 'mariadb-server',
    program: '/usr/sbin/mariadbd',
    port,
    async prepare(folder, _daemons, program) {
      const [uid, gid] = (await Promise.all([run('id', ['-u', 'mysql']), run('id', ['-g', 'mysql'])])).map(({ stdout }) => Number(stdout))
      const data = join(folder, 'data')
      await mkdir(data, { mode: 0o700 })
      await chown(data, uid as number, gid as number)
      await run('mariadb-install-db', [
        '--no-defaults',
        '--user=mysql',
        `--datadir=${data}`,
        '--skip-test-db',
        '--auth-root-authentication-method=normal',
      ])
      const files = tls && (await writeCertificate(data, tls))
      if (files) await chown(files.key, uid as number, gid as number)
      const options = [
        '--no-defaults',
        '--user=mysql',
        `--datadir=${data}`,
        '--bind-address=127.0.0.1',
        `--port=${port}`,
        `--socket=${join(data, 'server.sock')}`,
        '--skip-name-resolve',
        '--innodb-flush-log-at-trx-commit=0',
        '--innodb-buffer-pool-size=8M',
        ...(files ? [`--ssl-cert=${files.cert}`, `--ssl-key=${files.key}`] : []),
        ...settings.map((setting) => `--${setting}`),
      ]
      return [program, ...options]
    },
    async ready({ folder }) {
      const root = await mysql.createConnection({ socketPath: join(folder, 'data', 'server.sock'), user: 'root' })
      try {
        await root.query(`CREATE OR REPLACE USER harbour@127.0.0.1 IDENTIFIED BY '${mariadbPassword}'`)
        await root.query('GRANT ALL ON *.* TO harbour@127.0.0.1')
      } finally {
        await root.end()
      }
    },
  })
}

/** A connection of `harbour`. Whoever opens it ends it. */
export async function mariadbSession(port: number): Promise<mysql.Connection> {
  const session = await mysql.createConnection({ host: '127.0.0.1', port, user: 'harbour', password: mariadbPassword })
  session.on('error', () => {})
  return session
}
