import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { findBinaries } from './binaries.ts'
import { createDaemons, type Daemon, startAsKubelet } from './processes.ts'

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (const deadline = performance.now() + 10_000; !holds(); await sleep(20)) {
    assert.ok(performance.now() < deadline, `within 10 s: ${what}`)
  }
}

test('daemons end and leave no folder behind when the process that started them is killed', async () => {
  const program = `
    import { createDaemons } from ${JSON.stringify(new URL('./processes.ts', import.meta.url).href)}
    const daemons = createDaemons()
    const daemon = daemons.start('sleeper', '/bin/sleep', ['600'])
    console.log(JSON.stringify({ pid: daemon.pid, folder: daemons.folder }))
    setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(parent.stdout, 'data')
  const { pid, folder } = JSON.parse(String(line))
  assert.ok(isRunning(pid))
  assert.ok(existsSync(folder))

  parent.kill('SIGKILL')

  await until(() => !isRunning(pid), 'the daemon is gone')
  await until(() => !existsSync(folder), 'the folder is gone')
})

test('daemons that have ended are not ended again, and the folder goes with stop()', async () => {
  const daemons = createDaemons()
  const daemon = daemons.start('brief', '/bin/sh', ['-c', 'echo last words; exit 3'])
  await until(() => daemon.exit !== undefined, 'the daemon has ended')
  assert.deepEqual(daemon.exit, { code: 3, signal: null })
  assert.equal(daemon.logTail(), 'last words')
  await daemons.stop()
  assert.equal(existsSync(daemons.folder), false)
})

test('the log of a program of Kubernetes that gave up is shown from where it says why', async () => {
  const daemons = createDaemons()
  const why = 'F1129 17:00:00.000000       1 hooks.go:203] PostStartHook "rbac/bootstrap-roles" failed'
  const daemon = daemons.start('fatal', '/bin/sh', ['-c', `echo before; echo '${why}'; seq 100; exit 255`])
  await until(() => daemon.exit !== undefined, 'the daemon has ended')
  assert.deepEqual(daemon.logTail().split('\n').slice(0, 2), [why, '1'])
  await daemons.stop()
})

test('a daemon that gives up while it starts is started anew, and not for ever', async () => {
  const daemons = createDaemons()
  let starts = 0
  const untilReady = async (daemon: Daemon) => {
    if (daemon.name === 'lasting') return
    await daemon.ended
    throw new Error(daemon.logTail())
  }
  const giveUp = () => daemons.start('brief', '/bin/sh', ['-c', `echo attempt ${++starts}; exit 255`])
  const lasting = () => (starts < 1 ? giveUp() : daemons.start('lasting', '/bin/sleep', ['600']))
  assert.equal((await startAsKubelet(lasting, untilReady)).name, 'lasting')
  starts = 0
  await assert.rejects(startAsKubelet(giveUp, untilReady), /attempt 3$/)
  await daemons.stop()
})

test('a daemon whose program is missing counts as ended', async () => {
  const daemons = createDaemons()
  const daemon = daemons.start('missing', '/nonexistent/program', [])
  await until(() => daemon.exit !== undefined, 'the daemon has ended')
  await daemons.stop()
})

test('without binaries the error names the command that builds them', (t) => {
  const { XDG_CACHE_HOME, KUBEBUILDER_ASSETS } = process.env
  t.after(() => {
    for (const [name, value] of Object.entries({ XDG_CACHE_HOME, KUBEBUILDER_ASSETS })) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  })
  delete process.env.KUBEBUILDER_ASSETS
  process.env.XDG_CACHE_HOME = '/nonexistent'
  assert.throws(
    findBinaries,
    /No etcd, kube-apiserver, kube-controller-manager in \/nonexistent\/skerry\/kubernetes-.*test\/cluster\/real\/build\.sh/,
  )
  process.env.KUBEBUILDER_ASSETS = '/nonexistent/assets'
  assert.throws(findBinaries, /in \/nonexistent\/assets\. Put them there, or unset KUBEBUILDER_ASSETS/)
})
