import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { docker } from '../../../monitor/checks/docker.ts'
import { startDockerd } from '../../peers/dockerd.ts'
import { assertResult, measured, run } from './run.ts'

test('docker check of a real dockerd', async (t) => {
  const peer = await startDockerd(t)
  const { socketPath } = peer

  await t.test('is up, and counts containers', async () => {
    const result = await run(docker, { socketPath })
    assertResult(result, 'up', undefined, /^Version 20\.10.*, 0 containers running/)
    assert.equal(measured(result, 'skerry_docker_containers', { state: 'running' }), 0)
  })
  await t.test('is down when a container that must run does not', async () => {
    const root = join(peer.folder, 'root')
    mkdirSync(root)
    writeFileSync(join(root, 'crane'), '')
    execFileSync('tar', ['-C', root, '-cf', join(peer.folder, 'root.tar'), '.'])
    await peer.docker('import', join(peer.folder, 'root.tar'), 'crane:1')
    await peer.docker('create', '--name', 'crane', '--network=none', 'crane:1', '/crane')
    const result = await run(docker, { socketPath, expectRunning: ['crane'] })
    assertResult(result, 'down', 'missing', /are not running: crane\. See docker ps -a/)
    assert.equal(measured(result, 'skerry_docker_containers', { state: 'stopped' }), 1)
    assert.equal(measured(result, 'skerry_docker_images'), 1)
  })
  await t.test('is down when it hangs', async () => {
    await peer.hang()
    assertResult(await run(docker, { socketPath }, { timeoutMs: 300 }), 'down', 'timeout')
    peer.wake()
  })
  await t.test('is down when it is stopped', async () => {
    await peer.stop()
    assertResult(await run(docker, { socketPath }), 'down', 'connection_refused')
  })
})
