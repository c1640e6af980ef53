import { execFile } from 'node:child_process'
import { chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import pg from 'pg'
import { freePort } from '../cluster/index.ts'
import { type Peer, startPeer } from './peer.ts'

const run = promisify(execFile)

/** Of the superuser `postgres`. */
export const postgresqlPassword = 'harbour light'

/** The server refuses to run as root, so it gets the user that the package made. */
const asPostgres = ['--reuid=postgres', '--regid=postgres', '--clear-groups', '--']

/** PostgreSQL with passwords by SCRAM. `settings` are lines of its configuration. */
export async function startPostgresql(t: TestContext, { settings = [] as string[] } = {}): Promise<Peer> {
  const port = await freePort()
  return startPeer(t, {
    name: 'postgres',
    package: 'postgresql',
    program: '/usr/lib/postgresql/*/bin/postgres',
    port,
    async prepare(folder, _daemons, program) {
      const { uid, gid } = await postgresUser()
      const data = join(folder, 'data')
      await mkdir(data, { mode: 0o700 })
      await writeFile(join(folder, 'password'), postgresqlPassword)
      await Promise.all([chown(data, uid, gid), chown(join(folder, 'password'), uid, gid)])
      const initdb = program.replace(/postgres$/, 'initdb')
      await run(
        'setpriv',
        [
          ...asPostgres,
          initdb,
          '-D',
          data,
          '-U',
          'postgres',
          '-A',
          'scram-sha-256',
          '--pwfile',
          join(folder, 'password'),
          '--no-sync',
          '--locale=C',
        ],
        { cwd: '/' },
      )
      const options = [
        'listen_addresses=127.0.0.1',
        `port=${port}`,
        'unix_socket_directories=',
        'fsync=off',
        'shared_buffers=1MB',
        ...settings,
      ]
      return ['/usr/bin/setpriv', ...asPostgres, program, '-D', data, ...options.flatMap((option) => ['-c', option])]
    },
    ready: async () => postgresqlQuery(port, 'SELECT 1'),
  })
}

/** Runs a statement as the superuser. */
export async function postgresqlQuery(port: number, statement: string): Promise<unknown[]> {
  const client = await postgresqlSession(port)
  try {
    return (await client.query(statement)).rows
  } finally {
    await client.end()
  }
}

/** A connection of the superuser. Whoever opens it ends it. */
export async function postgresqlSession(port: number): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres', password: postgresqlPassword })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function postgresUser(): Promise<{ uid: number; gid: number }> {
  const [uid, gid] = await Promise.all([run('id', ['-u', 'postgres']), run('id', ['-g', 'postgres'])])
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
}
