import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { parse } from 'yaml'
import { createHttp, freePort, until } from '../cluster/index.ts'
import { createClient } from './client.ts'
import type { Place } from './place.ts'
import { spawnStart, start } from './started.ts'

// Regions on the embedded control plane, wherever the tests run.

const SKERRY_FOLDER = await mkdtemp(path.join(tmpdir(), 'skerry-regions-'))
after(() => rm(SKERRY_FOLDER, { recursive: true, force: true }))

/** Whether a program listens at the port of that URL. */
async function answers(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

const ended = ({ agent, admin, monitor }: Place) =>
  until(
    'the agent and the monitor have ended',
    async () => !(await Promise.all([agent.url, admin.url, monitor.url].map(answers))).includes(true),
    15_000,
  )

/** `kubectl scale deployment crate-operator`, by the kubeconfig that the region has written. */
async function scaleOperator({ kubeconfig }: Place, replicas: number): Promise<void> {
  const { clusters, users } = parse(await readFile(kubeconfig, 'utf8'))
  const { server, 'certificate-authority-data': ca } = clusters[0].cluster
  const http = createHttp({ url: server, ca: Buffer.from(ca, 'base64').toString(), token: users[0].user.token })
  const scale = '/apis/apps/v1/namespaces/crate-operator/deployments/crate-operator/scale'
  const answer = await http.patch('merge', scale, { spec: { replicas } })
  http.close()
  assert.equal(answer.status, 200, answer.text)
}

test('two regions at a time have nothing in common; each ends with whoever started it, however that ends', {
  timeout: 300_000,
}, async (t) => {
  const [port, mqttPort] = [await freePort(), await freePort()]
  const one = spawnStart(t, ['--port', `${port}`, '--mqtt-port', `${mqttPort}`], { env: { SKERRY_FOLDER } })
  const first = await one.place()
  assert.deepEqual([first.agent.url, first.mqtt.url], [`https://127.0.0.1:${port}`, `mqtt://127.0.0.1:${mqttPort}`])
  const taken = await Promise.all([start('--port', `${port}`), start('--mqtt-port', `${mqttPort}`)])
  assert.deepEqual(
    taken.map(({ code, err }) => [code, err]),
    [
      [1, `--port ${port} cannot be used: another program listens there. Choose another port, or leave the option out for any free one.\n`],
      [
        1,
        `--mqtt-port ${mqttPort} cannot be used: another program listens there. Choose another port, or leave the option out for any free one.\n`,
      ],
    ],
  )

  const two = spawnStart(t, [], { npm: true, env: { SKERRY_FOLDER } })
  const second = await two.place()
  assert.notEqual(second.folder, first.folder)
  assert.notEqual(second.mqtt.node, first.mqtt.node)
  assert.equal(
    two.said.find((line) => line.startsWith('Another')),
    `Another region runs in this checkout. This is ${second.mqtt.node}, and its files are in ${second.folder}.`,
  )
  await Promise.all([one.says('Ctrl-C ends'), two.says('Ctrl-C ends')])
  const clients = [first, second].map(({ agent }) => createClient(agent))
  t.after(() => clients.forEach((client) => void client.close()))
  const ids = await Promise.all(clients.map(async (client) => (await client.call('GET', '/v1/region')).body.id))
  assert.deepEqual(ids, [first.mqtt.node, second.mqtt.node])

  const [client] = clients
  assert.ok(client)
  const buoy = '/v1/projects/harbour/databases/buoy'
  const put = one.said.find((line) => line.includes('-X PUT'))
  const body = JSON.parse(/-d '(.*)'$/.exec(put ?? '')?.[1] ?? '')
  const blocker = (code: string) =>
    until(`${code} is told`, async () => {
      // It is not found until its operation has made it.
      const { status } = (await client.call('GET', buoy)).body
      return status.blockers?.find((each: { code: string }) => each.code === code)
    })
  await scaleOperator(first, 0)
  assert.equal((await client.call('PUT', buoy, { body })).status, 202)
  assert.match((await blocker('OperatorNotRunning')).message, /scaled to 0/)
  await scaleOperator(first, 1)
  assert.match((await blocker('ImageNotPulled')).message, /crate:5\.99\.0/)

  one.child.kill('SIGKILL')
  await ended(first)
  assert.equal((await clients[1]?.call('GET', '/v1/region'))?.status, 200)
  two.child.kill('SIGKILL')
  await ended(second)
  await until('its files are gone', async () => !(await readdir(second.folder)).includes('region.json'))

  assert.ok((await readdir(first.folder)).includes('region.json'), 'nobody could remove it')
  const three = spawnStart(t, [], { env: { SKERRY_FOLDER } })
  await three.says('starting the stand-ins')
  assert.ok(!(await readdir(first.folder)).includes('region.json'), 'the next one does')
  assert.equal((await three.place()).folder, first.folder, 'which the killed one does not keep')
})

test('Ctrl-C is answered at once while a region starts, and leaves nothing', { timeout: 300_000 }, async (t) => {
  for (const moment of ['starting the embedded cluster', 'starting the agent', 'starting the monitor', '→ a database is put']) {
    const TMPDIR = await mkdtemp(path.join(tmpdir(), 'skerry-interrupted-'))
    t.after(() => rm(TMPDIR, { recursive: true, force: true }))
    const started = spawnStart(t, [], { env: { TMPDIR, SKERRY_FOLDER } })
    await started.says(moment)
    const pressed = performance.now()
    process.kill(-(started.child.pid as number), 'SIGINT') // a terminal sends it to the whole process group
    await started.says('  stopping')
    assert.ok(performance.now() - pressed < 3_000, moment)
    assert.equal(await started.exited, 0, await started.errors)
    assert.ok(performance.now() - pressed < 15_000, moment)
    assert.equal(started.said.at(-1), 'Stopped.')
    if (started.said.some((line) => line.includes('NBIRTH')))
      assert.ok(
        started.said.some((line) => line.includes('NDEATH')),
        moment,
      )
    assert.equal(await started.errors, '')
    assert.deepEqual(await readdir(TMPDIR), [], moment)
    const own = /its files are in (\S+)\.$/m.exec(started.said.join('\n'))?.[1] ?? SKERRY_FOLDER
    const left = (await readdir(own)).filter((name) => !/^\d+$|\.log$/.test(name))
    assert.deepEqual(left, [], moment)
  }
})
