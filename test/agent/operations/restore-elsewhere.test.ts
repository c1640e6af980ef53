import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { parse } from 'yaml'
import { actions } from '../../../agent/operations/actions/index.ts'
import { Problem } from '../../../shared/errors.ts'
import type { ClusterRequest } from '../../../shared/kubernetes/connection.ts'
import { crateDbDefinition, crateDbDefinition264, until } from '../../cluster/index.ts'
import { smallDatabase } from './acting-region.ts'
import { type ActionScene, startActionScene } from './actions/scene.ts'

/* Restores from a store that is compatible with S3, by the release of the operator and by its CRD. The operator is changed as a site does. */

let scene: ActionScene
let interfere = (_request: ClusterRequest) => {}
before(async () => {
  // A watch goes on with the CRD with which it began, until the API server ends it a second after a change. So the operator's begins with
  // the newer one, and the older one comes after all restores: the operator would not see the address, or see it late.
  scene = await startActionScene(actions, { crateDb: crateDbDefinition264, interfere: (request) => interfere(request) })
  await sent('PUT', '/v1/projects/harbour', {})
  await sent('PUT', path, {
    ...smallDatabase({ id: 'kept' }),
    id: undefined,
    backups: { aws: { ...aws, region: 'eu-north-1', cron: '0 4 * * *' } },
  })
})
after(() => scene?.close())

const path = '/v1/projects/harbour/databases/kept'
const aws = { bucket: 'quay-snaps', endpointUrl: 'https://s3.quay.example', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'example' }
const own = { snapshot: '20261127' }
const named = { snapshot: '20261127', source: { basePath: 'tidal', aws: { ...aws, endpointUrl: 'http://minio.quay.example:9000' } } }

async function sent(method: string, to: string, body: unknown, status = 200) {
  const answer = await scene.api.call(method, to, { body, headers: { prefer: 'wait=60' } })
  assert.equal(answer.status, status, answer.text)
  if (status === 200) assert.equal(answer.body.phase, 'Succeeded', answer.text)
  return answer
}

const restore = (body: object, status?: number) => sent('POST', `${path}/actions/restore`, body, status)
const repositories = () => scene.region.standIns.database.state('project-harbour', 'kept').repositories

async function upgradeOperator(image: string): Promise<void> {
  const { admin } = scene.region
  const operator = '/apis/apps/v1/namespaces/crate-operator/deployments/crate-operator'
  const spec = { template: { spec: { containers: [{ name: 'operator', image }] } } }
  await admin.request({ method: 'PATCH', path: operator, contentType: 'application/strategic-merge-patch+json', body: { spec } })
  const shown = async () => (await scene.api.call('GET', '/v1/region')).body.operator.version
  const tag = /:(\d+\.\d+\.\d+)/.exec(image)?.[1] ?? null
  await until('the region shows the operator', async () => (await shown()) === tag)
}

async function installCrd(text: string): Promise<void> {
  const { admin } = scene.region
  const given = parse(text)
  const at = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${given.metadata.name}`
  // A patch, because the API server writes the status of the CRD at any time, and an update would meet a conflict.
  await admin.request({ method: 'PATCH', path: at, contentType: 'application/merge-patch+json', body: { spec: given.spec } })
}

test('2.63.0 is named, with the release that is needed, and nothing is written', async () => {
  for (const [body, pointer] of [
    [own, '/source'],
    [named, '/source/aws/endpointUrl'],
  ] as const) {
    const { body: problem } = await restore(body, 422)
    assert.equal(problem.faults[0].path, pointer)
    assert.match(problem.detail, /the Crate Operator here is 2\.63\.0.*needs 2\.64\.0 or later/)
  }
  assert.deepEqual(repositories(), [])
})

test('2.64.0 restores from the address of the backups, and from the one in the request', async () => {
  await upgradeOperator('crate/crate-operator:2.64.0')
  await restore(own)
  await restore(named)
  assert.deepEqual(
    repositories().map(({ endpoint, base_path, bucket }) => [endpoint, base_path, bucket]),
    [
      ['https://s3.quay.example', 'kept', 'quay-snaps'],
      ['http://minio.quay.example:9000', 'tidal', 'quay-snaps'],
    ],
  )
})

test("a later restore from Amazon's own S3 does not inherit the address", async () => {
  const { endpointUrl: _, ...amazon } = aws
  await restore({ snapshot: '20261127', source: { basePath: 'tidal', aws: amazon } })
  assert.equal(repositories().at(-1)?.endpoint, undefined)
})

test('2.64.0 with the CRD of 2.63.0 would drop the address, so it is refused', async () => {
  await installCrd(crateDbDefinition)
  const problem = await until('the API server drops the field', async () => {
    const { status, body } = await sentDry(named)
    return status === 422 && body
  })
  assert.match(problem.detail, /2\.64\.0, but its CRD has no field restoreSnapshot\.endpointUrl/)
})

test('an operator of an unknown release is judged by its CRD, and the plan says so', async () => {
  await upgradeOperator('crate/crate-operator@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef')
  await installCrd(crateDbDefinition264)
  const plan = await until('the API server keeps the field', async () => {
    const { status, body } = await sentDry(own)
    return status === 200 && body
  })
  assert.match(
    plan.steps[0].consequences.join(),
    /of an unknown release \(its image is crate\/crate-operator@sha256:.*assumes 2\.64\.0 or later/,
  )
  await installCrd(crateDbDefinition)
  await until('the API server drops the field', async () => (await sentDry(own)).status === 422)
})

const sentDry = (body: object) => scene.api.call('POST', `${path}/actions/restore?dryRun=true`, { body })

test('a restore is to be repeated soon while the rights in the namespace are not in effect', async () => {
  interfere = ({ method, path, query }) => {
    if (method !== 'PATCH' || !path.includes('/cratedbs/') || !query?.dryRun) return
    const words = 'User "system:serviceaccount:skerry:skerry-agent" cannot patch resource "cratedbs" in API group "cloud.crate.io"'
    throw new Problem('cluster-forbidden', `cratedbs.cloud.crate.io "kept" is forbidden: ${words} in the namespace "project-harbour"`)
  }
  const { status, body } = await sentDry(named)
  interfere = () => {}
  assert.deepEqual([status, body.type], [503, 'https://skerry.dev/problems/rights-pending'])
})
