import assert from 'node:assert/strict'
import { test } from 'node:test'
import { furnishNamespace, type ProjectNamespaceParts } from '../../../agent/controllers/project-namespace.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { projectNamed } from './region.ts'

test('a project is not ready before the copy of a pull secret that comes while its objects are written', async () => {
  const dockerconfig = Buffer.from('{"auths":{"quay.example":{"auth":"cGlsb3Q6dGlkZQ=="}}}').toString('base64')
  const mirror: KubernetesObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/dockerconfigjson',
    metadata: { name: 'mirror', namespace: 'skerry' },
    data: { '.dockerconfigjson': dockerconfig },
  }
  const pullSecrets = new Map<string, KubernetesObject>()
  const written: string[] = []
  const managed = {
    namespace: () => ({ project: 'harbour', metadata: { name: 'project-harbour' } }),
    quota: () => undefined,
    within: () => [],
    ensure: async ({ kind, metadata }: KubernetesObject) => {
      written.push(`${kind} ${metadata.name}`)
      if (kind === 'LimitRange') pullSecrets.set('skerry/mirror', mirror)
    },
  }
  const parts = {
    config: {
      namespace: 'skerry',
      network: { operatorNamespace: 'crate-operator', scrapeNamespaces: [] },
      accounts: { agent: 'skerry-agent', monitor: undefined },
      allowedLabels: [],
    },
    caches: { databases: { in: () => [] } },
    managed,
    pullSecrets,
    withoutRights: new Map(),
    clock: systemClock,
  } as unknown as ProjectNamespaceParts
  const project = projectNamed('harbour', { imagePullSecrets: ['mirror'] })
  assert.equal((await furnishNamespace(project, parts)).reason, 'PullSecretMissing')
  assert.equal(written.includes('Secret skerry-pull-mirror'), false)
  assert.equal((await furnishNamespace(project, parts)).reason, 'Ready')
  assert.ok(written.includes('Secret skerry-pull-mirror'))
})
