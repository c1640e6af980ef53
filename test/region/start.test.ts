import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { until } from '../cluster/index.ts'
import { noMosquitto, startMosquitto } from '../monitor/sparkplug/mosquitto.ts'
import { bdSeqOf, followBirths } from './births.ts'
import { createClient } from './client.ts'
import { type RunningRegion, waysToGoOn } from './place.ts'
import { isBirthOf } from './scenario.ts'
import { spawnStart, start } from './started.ts'

/** On the real tier everything is real: the control plane, and a broker that is there already. */
async function realPeers(t: TestContext): Promise<string[]> {
  if (process.env.SKERRY_CLUSTER !== 'real') return []
  assert.equal(noMosquitto, false)
  const { url } = await startMosquitto(t)
  return ['--real', '--mqtt', url]
}

test('npm start -- --once shows a project and a database become real and be born, another program follows, and it exits 0', async (t) => {
  const logs = await mkdtemp(path.join(tmpdir(), 'skerry-logs-'))
  t.after(() => rm(logs, { recursive: true }))
  const started = spawnStart(t, ['--once', '--log', `${logs}/agent.log`, '--monitor-log', `${logs}/monitor.log`, ...(await realPeers(t))])
  const { said, errors, exited } = started
  await started.says('→ a project is put')

  // It knows nothing but the file.
  const place = await started.place()
  for (const [log, message] of [
    ['agent.log', 'region is ready'],
    ['monitor.log', 'monitor is ready'],
  ] as const)
    assert.ok((await readFile(`${logs}/${log}`, 'utf8')).includes(message), `${log} is written while it runs`)
  const births = await followBirths(place.mqtt)
  t.after(() => births.close())
  await births.askForRebirth()
  assert.equal(bdSeqOf(await births.heard(({ verb }) => verb === 'NBIRTH', 'the NBIRTH')), 0)
  // While the region still waits for its checks: it does not wait for this program.
  const isUp = /^skerry_check_up\{check="agent",.*\} [01]$/m
  await until('the agent is checked', async () => isUp.test(await (await fetch(`${place.monitor.url}/metrics`)).text()))
  await births.heard(isBirthOf('tidal-gauge'), 'the birth of the database', { withinMs: 180_000 })

  const people = createClient({ ...place.cloud, token: '' })
  t.after(() => people.close())
  const [known] = (await people.call('GET', '/heard')).body.regions
  assert.deepEqual([known.state, known.status.region.id], ['approved', place.mqtt.node])

  const code = await exited
  const out = said.join('\n')
  assert.equal(code, 0, `${out}\n${await errors}`)
  assert.equal(bdSeqOf(await births.heard(({ verb }) => verb === 'NDEATH', 'the NDEATH')), 0)
  assert.match(out, /✔ op-0000000001 Succeeded/)
  assert.match(out, /✔ op-0000000003 Succeeded/)
  assert.match(out, /A disk that shrinks is refused/)
  assert.match(out, /→ it is had back: POST .*deleted-databases.*: reserve-volumes, return-secrets, create/)
  assert.match(out, /It is back on the same volumes/)
  assert.match(out, /harbour +Harbour authority +True/)
  assert.match(out, /tidal-gauge +tidal-gauge +5\.10\.1 +3 .*GREEN/)
  assert.match(out, /◂ NBIRTH skerry\/harbour-\d · \d+ metrics · bdSeq 0/)
  assert.match(out, /◂ DBIRTH skerry\/harbour-\d\/host:node-1 · \d+ metrics/)
  assert.match(out, /◂ DBIRTH skerry\/harbour-\d\/database:\S*tidal-gauge · \d+ metrics/)
  assert.match(out, /◂ DDATA +skerry\/harbour-\d\/\S+ · \S+/)
  for (const check of ['agent', 'agent-health', 'broker', 'kubernetes', 'database/harbour/tidal-gauge'])
    assert.match(out, new RegExp(`^skerry_check_up\\{check="${check}".*\\} 1$`, 'm'))
  assert.match(out, /^Heard over MQTT so far: .*\d+ NBIRTH/m)
  const { length: polls } = out.match(/◂ POST {3}\/v1\/regions · harbour-\d asks to join/g) ?? []
  assert.equal(polls, 2, 'the claim, and the one that is taken: polls are not shown')
  assert.match(out, /The region shows the pairing code [0-9A-Z]{4}-[0-9A-Z]{4}/)
  assert.match(out, /✔ The region is registered as r-[0-9a-f]+, \d+\.\d s later/)
  assert.match(out, /◂ PUT {4}\/v1\/regions\/r-[0-9a-f]+\/status · all of its status: .* · \d+ bytes$/m)
  assert.match(out, /◂ PATCH {2}\/v1\/regions\/r-[0-9a-f]+\/status · what has changed: \w.* · \d+ bytes$/m)
  assert.match(out, /^cloud +Ready +Registered /m)
  // A heartbeat may come before the first change.
  const [, counts = ''] = /^Heard by the cloud so far: (.*)$/m.exec(out) ?? []
  for (const count of [/\d+ claims/, /\b1 status\b/, /\d+ changes?/]) assert.match(counts, count)
})

test('the lines to go on with ask what runs, and show no password', () => {
  const lines = waysToGoOn(
    {
      agent: { url: 'https://127.0.0.1:8443', adminUrl: 'http://127.0.0.1:9808' },
      cloud: { url: 'https://127.0.0.1:9443' },
      monitor: { url: 'http://127.0.0.1:9809' },
      mqtt: { url: 'mqtts://ships:secret@broker.example.com', group: 'skerry', node: 'harbour-1' },
    } as RunningRegion,
    '.skerry',
  )
  assert.match(lines, /^ {2}curl http:\/\/127\.0\.0\.1:9809\/metrics$/m)
  assert.match(lines, /^ {2}curl --cacert \.skerry\/cloud-ca\.pem https:\/\/127\.0\.0\.1:9443\/heard$/m)
  assert.match(lines, /^ {2}mosquitto_sub -h broker\.example\.com -p 8883 --tls-use-os-certs -u ships -P … -t 'spBv1\.0\/skerry\/#'/m)
  assert.doesNotMatch(lines, /secret/)
})

test('npm start says what it can do, and what it cannot read or use', async () => {
  const [help, wrong, unknown, noBroker] = await Promise.all([
    start('--help'),
    start('--kubeconfig', '/nowhere', '--once'),
    start('--unknown'),
    start('--mqtt', 'http://user:secret@127.0.0.1', '--once'),
  ])
  assert.match(help.out, /--kubeconfig FILE/)
  assert.match(help.out, /--mqtt URL/)
  assert.equal(wrong.code, 1)
  assert.match(wrong.err, /\/nowhere/)
  assert.doesNotMatch(wrong.err, /at .*\.ts:/)
  assert.equal(unknown.code, 1)
  assert.equal(noBroker.code, 1)
  assert.match(noBroker.err, /^--mqtt http:\/\/127\.0\.0\.1 is none of mqtt:/)
})

test('npm start refuses what it cannot do, with the reason', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'skerry-log-'))
  t.after(() => rm(folder, { recursive: true }))
  await mkdir(`${folder}/agent.log`)
  for (const [options, reason] of [
    [['--port', 'http'], /^--port must be a port from 1 to 65535, not "http"$/],
    [['--mqtt-port', '0'], /^--mqtt-port must be a port from 1 to 65535, not "0"$/],
    [['--mqtt-port', '1883', '--mqtt', 'mqtt://broker'], /^--mqtt-port is for the embedded broker/],
    [['--real', '--kubeconfig', 'admin'], /^--kubeconfig and --real name two clusters/],
    [['--port', '1883', '--mqtt-port', '1883'], /must be two ports/],
    [['--log', `${folder}/agent.log`], /agent\.log/],
  ] as const) {
    const { code, err } = await start(...options)
    assert.equal(code, 1, options.join(' '))
    assert.match(err.trimEnd(), reason)
  }
})
