import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import test, { type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { givenFolder, startSystemd } from '../../peers/systemd.ts'
import { type Heard, startBroker } from '../sparkplug/broker.ts'

const run = promisify(execFile)
const unitName = 'skerry-monitor.service'
const unitFile = `deploy/systemd/${unitName}`
/** Long beside what a busy machine may keep a program waiting. */
const watchdogMs = 6_000

/**
 * The shipped unit under a real systemd, with the shipped hardening. Only paths are others (what an installation puts below /usr and /etc
 * is below /run/given) and the watchdog is short.
 */
async function installed(t: TestContext, { sparkplugTo }: { sparkplugTo?: string } = {}) {
  const folder = await givenFolder(t, { node: process.execPath, 'checks.yaml': 'deploy/systemd/checks.yaml' })
  await run(process.execPath, ['deploy/build.ts', path.join(folder, 'skerry')])
  const sparkplug = sparkplugTo && { group: 'harbour', node: 'quay-7', servers: [{ url: sparkplugTo }] }
  const config = { metrics: { host: '127.0.0.1', port: 0 }, checks: { file: '/run/given/checks.yaml' }, ...(sparkplug && { sparkplug }) }
  await writeFile(path.join(folder, 'monitor.yaml'), JSON.stringify(config))
  const shipped = await readFile(unitFile, 'utf8')
  const unit = shipped
    .replaceAll('/usr/bin/node', '/run/given/node')
    .replaceAll('/usr/lib/skerry/', '/run/given/skerry/')
    .replaceAll('/etc/skerry/', '/run/given/')
    .replace(/^WatchdogSec=.*$/m, `WatchdogSec=${watchdogMs}ms`)
    .replace(/^RestartSec=.*$/m, 'RestartSec=100ms')
  const systemd = await startSystemd(t, { folder, units: { [unitName]: `${unit}\n[Service]\nStandardOutput=append:/run/monitor.log\n` } })
  return { systemd, log: () => systemd.inside('cat', '/run/monitor.log').catch(() => '(none)') }
}

const bdSeqOf = ({ payload }: Heard) => Number(payload.metrics.find(({ name }) => name === 'bdSeq')?.longValue)

test('systemd starts the shipped unit, and knows when it is ready, reloads and stops', async (t) => {
  const broker = await startBroker(t)
  const { systemd, log } = await installed(t, { sparkplugTo: broker.url })
  await systemd.systemctl('start', unitName).catch(async (error) => assert.fail(`${error}\n${await log()}`))
  const birth = await broker.heard(({ verb }) => verb === 'NBIRTH')

  const running = await systemd.until(
    unitName,
    ({ StatusText }) => /born on mqtt/.test(StatusText ?? ''),
    'ActiveState',
    'StatusText',
    'MainPID',
  )
  assert.equal(running.ActiveState, 'active')
  assert.match(running.StatusText ?? '', /^2 checks: /)

  await systemd.inside('sh', '-c', 'echo "checks: [{ name: gateway, kind: tcp, host: 127.0.0.1, port: 9 }]" > /run/given/checks.yaml')
  await systemd.systemctl('reload', unitName)
  const isReloaded = ({ ActiveState, StatusText }: Record<string, string>) =>
    ActiveState === 'active' && /^1 check: /.test(StatusText ?? '')
  const reloaded = await systemd.until(unitName, isReloaded, 'ActiveState', 'StatusText', 'NRestarts', 'MainPID')
  assert.deepEqual([reloaded.NRestarts, reloaded.MainPID], ['0', running.MainPID])

  await systemd.systemctl('stop', unitName)
  const stopped = await systemd.show(unitName, 'Result', 'ExecMainStatus', 'ActiveState')
  assert.deepEqual(stopped, { Result: 'success', ExecMainStatus: '0', ActiveState: 'inactive' })
  const death = await broker.heard(({ verb }) => verb === 'NDEATH')
  assert.equal(bdSeqOf(death), bdSeqOf(birth))
  // Where this takes long, the gateway of the given file has been called down: nothing listens there.
  const lines = (await log()).split('\n').filter((line) => !/"check":"gateway".*"msg":"check changed"/.test(line))
  assert.doesNotMatch(lines.join('\n'), /"level":"(warn|error|fatal)"/)
})

test('it lives on for many times what the watchdog waits, and one that stands still is killed and started again', async (t) => {
  const broker = await startBroker(t)
  const { systemd, log } = await installed(t, { sparkplugTo: broker.url })
  await systemd.systemctl('start', unitName)
  const first = await broker.heard(({ verb }) => verb === 'NBIRTH')
  const told = async () => Number((await systemd.show(unitName, 'WatchdogTimestampMonotonic')).WatchdogTimestampMonotonic)
  const began = await told()
  await systemd.until(
    unitName,
    ({ WatchdogTimestampMonotonic }) => Number(WatchdogTimestampMonotonic) > began + 2 * watchdogMs * 1000,
    'WatchdogTimestampMonotonic',
  )
  const { NRestarts, MainPID } = await systemd.show(unitName, 'NRestarts', 'MainPID')
  assert.equal(NRestarts, '0', await log())

  await systemd.inside('kill', '-STOP', MainPID as string)
  const again = await systemd.until(
    unitName,
    (now) => now.NRestarts === '1' && now.ActiveState === 'active',
    'NRestarts',
    'ActiveState',
    'MainPID',
  )
  assert.notEqual(again.MainPID, MainPID)
  // The number of the session was kept in the folder of state, though the user of the service is another one each time.
  const second = await broker.heard((message) => message.verb === 'NBIRTH' && message !== first)
  assert.equal(bdSeqOf(second), bdSeqOf(first) + 1)
})

test('a start with a configuration that is not valid fails, and the log says what is wrong', async (t) => {
  const { systemd, log } = await installed(t)
  await systemd.inside('sh', '-c', 'echo "checkz: {}" > /run/given/monitor.yaml')
  await assert.rejects(systemd.systemctl('start', unitName))
  assert.match(await log(), /did you mean "checks"\?/)
})

test('the unit is valid, and systemd finds hardly anything that it may do without need', async (t) => {
  const folder = await givenFolder(t, {})
  // Its programs are not installed here.
  const unit = (await readFile(unitFile, 'utf8')).replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`)
  await writeFile(path.join(folder, unitName), unit)
  const verified = await run('systemd-analyze', ['verify', '--man=no', path.join(folder, unitName)])
  assert.equal(verified.stderr, '')
  await run('systemd-analyze', ['security', '--offline=true', '--threshold=20', '--no-pager', path.join(folder, unitName)])
})
