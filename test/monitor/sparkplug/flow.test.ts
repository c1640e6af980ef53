import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import path from 'node:path'
import { test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { createMqttConnect } from '../../../monitor/sparkplug/connection.ts'
import { systemClock } from '../../../shared/clock.ts'
import { createMutualTls } from './mutual-tls.ts'

for (const scheme of ['mqtt', 'mqtts'])
  test(`over ${scheme} a connection tells that a part of one large message is gone while the rest still waits`, async (t) => {
    const signal = AbortSignal.timeout(20_000)
    // It takes the CONNECT, and then reads about as much as it is told.
    let toRead = 0
    let peer: Socket | undefined
    const serve = (socket: Socket) => {
      peer = socket
      socket.on('error', () => {})
      socket.once('data', () => {
        socket.pause()
        socket.write(Buffer.from([0x20, 2, 0, 0]))
        socket.on('data', ({ length }) => {
          toRead -= length
          if (toRead <= 0) socket.pause()
        })
      })
    }
    const { ca } = await createMutualTls(t)
    const file = (name: string) => readFileSync(path.join(path.dirname(ca), name))
    const server =
      scheme === 'mqtt' ? createTcpServer(serve) : createTlsServer({ cert: file('server.pem'), key: file('server.key') }, serve)
    server.listen(0, '127.0.0.1')
    t.after(() => {
      peer?.destroy()
      server.close()
    })
    await once(server, 'listening')
    const connection = await createMqttConnect({ clock: systemClock })(
      {
        server: { url: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`, caFile: ca },
        protocolVersion: 4,
        clientId: 'c',
        keepAliveSeconds: 30,
        will: async () => ({ topic: 'w', payload: Buffer.alloc(0) }),
        onConnect() {},
        timeoutMs: 10_000,
        maxPacketBytes: 1024,
        onOversized() {},
        onMessage() {},
      },
      signal,
    )
    t.after(() => connection.destroy('end of the test'))
    const until = async (is: () => boolean) => {
      while (!is()) await systemClock.sleep(5, signal)
    }
    const read = (bytes: number) => {
      toRead = bytes
      peer?.resume()
    }
    const size = 40_000_000
    connection.send('t', Buffer.alloc(size))
    await systemClock.sleep(0, signal) // it is handed over with the turn
    const { given } = connection.flow()
    assert.ok(given > size, `${given}`)
    for (let round = 0; round < 2; round++) {
      const { gone } = connection.flow()
      read(12_000_000)
      await until(() => connection.flow().gone > gone + 1_000_000)
      assert.ok(connection.flow().gone < given)
    }
    read(size)
    await until(() => connection.flow().gone === given)
  })
