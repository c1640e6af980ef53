import assert from 'node:assert/strict'
import { until } from '../cluster/index.ts'
import { imageOf } from './images.ts'
import type { RealNode } from './node.ts'

/**
 * Runs a script of Node, with `readFileSync` and `writeFileSync`, in a pod that has a volume at /data, until it has ended well.
 * @param at the namespace of the pod and its claim
 */
export async function inPod({ http }: RealNode, at: { namespace: string; claim: string }, name: string, script: string): Promise<void> {
  const container = {
    name: 'main',
    image: imageOf('agent'), // for the Node that is in it
    command: ['node', '--eval', `const { readFileSync, writeFileSync } = require('node:fs'); ${script}`],
    volumeMounts: [{ name: 'data', mountPath: '/data' }],
    securityContext: { runAsUser: 0 }, // whose the folder is
  }
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: at.claim } }]
  const spec = { restartPolicy: 'Never', containers: [{ ...container, imagePullPolicy: 'Never' }], volumes }
  const pods = `/api/v1/namespaces/${at.namespace}/pods`
  const { status, text } = await http.post(pods, { metadata: { name }, spec })
  assert.equal(status, 201, text)
  const hasEnded = async () => (await http.get(`${pods}/${name}`)).body?.status?.phase === 'Succeeded'
  await until(`the pod ${name} has ended`, hasEnded, 90_000)
  await http.delete(`${pods}/${name}`, { gracePeriodSeconds: 0 })
}
