import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startActingScene } from './cures/acting.ts'
import { startKubeletServer } from './cures/kubelet.ts'
import { curesOfARegion } from './cures/of-a-region.ts'
import { curesOfFinalizers } from './cures/of-finalizers.ts'
import { curesOfNodes } from './cures/of-nodes.ts'
import { curesOfPods } from './cures/of-pods.ts'
import { curesOfProjects } from './cures/of-projects.ts'
import { curesOfTheOperator } from './cures/of-the-operator.ts'
import { curesOfTheTunnel } from './cures/of-the-tunnel.ts'
import { curesOfVolumes } from './cures/of-volumes.ts'
import { entries, ran, startTrial, type Trial } from './cures/trial.ts'
import { makeStorageClasses } from './pieces.ts'
import { nodeNamed, startScene } from './scene.ts'

/*
 * Every command that anybody is told to run about what stands in the way, run as it stands by bash in the situation that shows it, with the
 * real kubectl and curl. First in a cluster in which tests write what a controller would; then in one in which an agent and stand-ins act.
 * Logs come from a server in the kubelet's place, which the API server asks as it asks a kubelet.
 */

// Both stand before the first test is registered: the runner begins with it, and ends what has run out of tests.
const scene = await startScene()
const acting = await startActingScene()
const kubelet = await startKubeletServer(scene.admin)
let trial: Trial

before(async () => {
  trial = await startTrial(scene)
  for (const name of ['quay-1', 'quay-2']) {
    const node = nodeNamed(name)
    await scene.make({ ...node, status: { ...node.status, ...kubelet.status } })
  }
  await makeStorageClasses(scene)
})
after(async () => {
  await acting.stop()
  await trial.stop()
  await kubelet.stop()
})

curesOfTheOperator(scene, () => trial)
curesOfPods(scene, () => trial)
curesOfNodes(scene, () => trial)
curesOfVolumes(scene, () => trial)
curesOfProjects(scene, () => trial)
curesOfFinalizers(scene, () => trial)
curesOfTheTunnel(scene, () => trial)
curesOfARegion(acting)

test('every command in the table of cures was run in its situation', (t) => {
  const withCommand = entries.filter(([, { command }]) => command !== undefined)
  const count = (does: string) => withCommand.filter(([, kind]) => kind.does === does).length
  t.diagnostic(
    `${withCommand.length} commands: ${count('looks')} only look, ${count('changes')} change, ${count('destroys')} destroy; ${entries.length - withCommand.length} cures have none`,
  )
  assert.deepEqual(
    withCommand.map(([name]) => name).filter((name) => !ran.has(name)),
    [],
    'never run',
  )
})
