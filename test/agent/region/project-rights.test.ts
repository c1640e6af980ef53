import assert from 'node:assert/strict'
import { test } from 'node:test'
import { unlessNamespaceGone } from '../../../agent/region/project-rights.ts'
import { Problem } from '../../../shared/errors.ts'

const words =
  'secrets is forbidden: User "system:serviceaccount:skerry:skerry-agent" cannot list resource "secrets" in API group "" in the namespace "project-harbour"'
const refused = (detail: string) => Promise.reject(new Problem('cluster-forbidden', detail))
const forbidden = () => refused(words)
const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'project-harbour' } }
const leaving = { ...namespace, metadata: { ...namespace.metadata, deletionTimestamp: '2026-01-31T12:00:00Z' } }

for (const [state, found] of [
  ['does not exist', undefined],
  ['is being deleted', leaving],
] as const)
  test(`where the namespace of a project ${state}, there is nothing to read`, async () => {
    assert.equal(await unlessNamespaceGone(forbidden(), async () => found), undefined)
  })

test('while the namespace stands, the rights are on their way: repeat the request soon', async () => {
  await assert.rejects(
    unlessNamespaceGone(forbidden(), async () => namespace),
    { type: 'rights-pending', status: 503, detail: words, retryAfterSeconds: 1 },
  )
})

test('without the ClusterRole that the RoleBinding names, they are not', async () => {
  const detail = `${words}: RBAC: clusterrole.rbac.authorization.k8s.io "skerry-agent-project" not found`
  await assert.rejects(
    unlessNamespaceGone(refused(detail), async () => namespace),
    { type: 'cluster-forbidden', detail },
  )
})

for (const [what, problem] of [
  ['no answer', new Problem('cluster-unreachable', 'no answer')],
  ['a token that is not valid', new Problem('cluster-forbidden', 'Unauthorized')],
  ['a refusal by an admission plugin', new Problem('cluster-forbidden', 'secrets "a" is forbidden: cannot set an ownerRef')],
  ['a right that is missing elsewhere', new Problem('cluster-forbidden', words.replace('project-harbour', 'skerry'))],
] as const)
  test(`${what} stays what it is, and the namespace is not asked for`, async () => {
    await assert.rejects(unlessNamespaceGone(Promise.reject(problem), assert.fail), problem)
  })
