import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openScene, type Scene, succeeded } from './bootstrap-scene.ts'

let scene: Scene
before(async () => {
  scene = await openScene()
})
after(() => scene.close())

const strategy = async () => (await scene.deployment('monitoring', 'grafana')).body.spec.strategy

test('a Deployment that was replaced pod by pod is one that ends its pod first, after an upgrade', async () => {
  const rolling = join(scene.bench.folder, 'rolling.yaml')
  await writeFile(rolling, 'deploymentStrategy: { type: RollingUpdate }\n')
  succeeded(await scene.install(['--only', 'grafana', '--values', `grafana=${rolling}`]))
  // The API server has filled in what belongs to it, and whoever applies another strategy alone has both.
  assert.deepEqual(await strategy(), { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } })

  succeeded(await scene.install(['--only', 'grafana', '--reset-values']))
  assert.deepEqual(await strategy(), { type: 'Recreate' })
  assert.deepEqual(await scene.releases(), ['grafana deployed'])
})
