import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { freePort } from '../cluster/index.ts'
import { answers, type Peer, says, startPeer } from './peer.ts'

const run = promisify(execFile)

/** `ctl` runs rabbitmqctl on it; `url` is the management API. */
export type Rabbitmq = Peer & { url: string; ctl(...args: string[]): Promise<unknown> }

/** RabbitMQ with its management API; user `guest` with password `guest` is its administrator, as it comes. `settings` are lines of rabbitmq.conf. */
export async function startRabbitmq(t: TestContext, { settings = [] as string[] } = {}): Promise<Rabbitmq> {
  const [port, managementPort, namesPort, distributionPort] = (await Promise.all(Array.from({ length: 4 }, freePort))) as [
    number,
    number,
    number,
    number,
  ]
  const url = `http://127.0.0.1:${managementPort}`
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  let environment: Record<string, string> = {}
  const peer = await startPeer(t, {
    name: 'rabbitmq',
    package: 'rabbitmq-server',
    program: '/usr/lib/rabbitmq/bin/rabbitmq-server',
    port,
    async prepare(folder, daemons, program) {
      // A name server of its own: the one that Erlang starts by itself would outlive the test.
      daemons.start('epmd', '/usr/bin/epmd', ['-port', String(namesPort), '-address', '127.0.0.1'])
      const lines = [
        `listeners.tcp.1 = 127.0.0.1:${port}`,
        'management.tcp.ip = 127.0.0.1',
        `management.tcp.port = ${managementPort}`,
        'log.console = true',
        ...settings,
      ]
      await writeFile(join(folder, 'rabbitmq.conf'), `${lines.join('\n')}\n`)
      await writeFile(join(folder, 'plugins'), '[rabbitmq_management].\n')
      await writeFile(join(folder, '.erlang.cookie'), 'harbourcookie', { mode: 0o400 })
      environment = {
        HOME: folder,
        RUNNING_UNDER_SYSTEMD: 'true', // the script then becomes the server, so that a signal reaches it
        RABBITMQ_NODENAME: `skerry-${port}@localhost`,
        RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq'),
        RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
        RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
        RABBITMQ_LOG_BASE: join(folder, 'log'),
        RABBITMQ_CONF_ENV_FILE: '/dev/null',
        RABBITMQ_DIST_PORT: String(distributionPort),
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
        ERL_EPMD_PORT: String(namesPort),
        ERL_EPMD_ADDRESS: '127.0.0.1',
      }
      return ['/usr/bin/env', ...Object.entries(environment).map(([name, value]) => `${name}=${value}`), program]
    },
    // The port of AMQP opens after all plugins have started, the management API among them.
    ready: async () => {
      await answers(`${url}/api/health/checks/virtual-hosts`, 200, { authorization })
      await says(port)
    },
  })
  const ctl = (...args: string[]) =>
    run('/usr/lib/rabbitmq/bin/rabbitmqctl', ['-n', environment.RABBITMQ_NODENAME as string, ...args], {
      env: { ...process.env, ...environment },
    })
  return { ...peer, url, ctl }
}
