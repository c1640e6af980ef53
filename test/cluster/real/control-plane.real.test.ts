import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../until.ts'
import { startControlPlane } from './control-plane.ts'

test('its controllers rest from when the API server goes until it has come back', async () => {
  const plane = await startControlPlane()
  try {
    plane.startManager()
    assert.match(managerState(), /[DRS]/)
    await plane.suspend()
    await until('they rest', async () => managerState() === 'T')
    let isBack = false
    const back = plane.resume().finally(() => {
      isBack = true
    })
    for (; !isBack; await sleep(50)) assert.equal(managerState(), 'T', 'they do not see the API server start')
    await back
    await until('they go on', async () => /[DRS]/.test(managerState()))
  } finally {
    await plane.stop()
  }
})

/** The state of the controller manager of this process: T for one that is stopped (proc_pid_stat(5)). */
function managerState(): string {
  for (const path of globSync('/proc/[0-9]*/stat')) {
    const [, name, state, parent] = /\((.*)\) (\S) (\d+)/.exec(readUnlessGone(path)) ?? []
    if (state && name === 'kube-controller' && Number(parent) === process.pid) return state
  }
  return 'gone'
}

function readUnlessGone(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
