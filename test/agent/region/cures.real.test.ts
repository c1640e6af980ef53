import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startKubeletServer } from './cures/kubelet.ts'
import { curesOfFinalizers } from './cures/of-finalizers.ts'
import { curesOfNodes } from './cures/of-nodes.ts'
import { curesOfPods } from './cures/of-pods.ts'
import { curesOfProjects } from './cures/of-projects.ts'
import { curesOfTheTunnel } from './cures/of-the-tunnel.ts'
import { curesOfVolumes } from './cures/of-volumes.ts'
import { startTrial, type Trial } from './cures/trial.ts'
import { makeStorageClasses } from './pieces.ts'
import { nodeNamed, startScene } from './scene.ts'

const scene = await startScene()
let trial: Trial
const kubelet = await startKubeletServer(scene.admin)

before(async () => {
  trial = await startTrial(scene)
  for (const name of ['quay-1', 'quay-2']) {
    const node = nodeNamed(name)
    await scene.make({ ...node, status: { ...node.status, ...kubelet.status } })
  }
  await makeStorageClasses(scene)
})
after(async () => {
  await trial.stop()
  await kubelet.stop()
})

curesOfPods(scene, () => trial)
curesOfNodes(scene, () => trial)
curesOfVolumes(scene, () => trial)
curesOfProjects(scene, () => trial)
curesOfFinalizers(scene, () => trial)
curesOfTheTunnel(scene, () => trial)
void assert
void test
