import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { ownAnnotations } from '../../agent/resources/cratedb.ts'
import { stored } from '../agent/resources/samples.ts'
import { createHttp, expectCode, kubectl, startRealCluster, until } from '../cluster/index.ts'
import { definitions } from '../region/definitions.ts'
import { chart, helm, type Manifest, namespace, release } from './helm.ts'
import { shapes } from './shapes.ts'

// On an API server the chart is installed, and things are deleted, or not. KUBEBUILDER_ASSETS of 1.30 or newer has the
// policy; on older ones it is to be seen that the chart does without, and that it is said.

const cluster = await startRealCluster({ crds: definitions.crateDB.map((file) => readFileSync(file, 'utf8')) })
const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
after(async () => {
  http.close()
  await cluster.stop()
})
const kubeconfig = cluster.kubeconfig()
const run = (...args: string[]) => kubectl(kubeconfig, ...args)
const { minor } = expectCode(await http.get('/version'), 200)
const hasPolicies = Number.parseInt(minor, 10) >= 30

const installed = await helm(['--namespace', namespace, 'install', release, chart, '--create-namespace'], {
  kubeconfig,
  values: shapes.default,
})

const home = '/apis/cloud.crate.io/v1/namespaces/project-harbour/cratedbs'
const databaseOf = (name: string, deletionProtection: boolean) => ({
  apiVersion: 'cloud.crate.io/v1',
  kind: 'CrateDB',
  metadata: { name, namespace: 'project-harbour', annotations: ownAnnotations(stored({ deletionProtection })) },
  spec: {
    cluster: { name, imageRegistry: 'crate', version: '5.10.1' },
    nodes: {
      data: [{ name: 'hot', replicas: 1, resources: { heapRatio: 0.25, disk: { count: 1, size: '8GiB', storageClass: 'default' } } }],
    },
  },
})
const projectOf = (name: string, deletionProtection: boolean) => ({
  apiVersion: 'skerry.dev/v1',
  kind: 'Project',
  metadata: { name },
  spec: { deletionProtection },
})

/** A project with a protected database and one that is not, protected as a whole; and a project that is not. */
async function establish(): Promise<void> {
  const create = async (path: string, object: Manifest) => {
    // What is there from the test before comes back as it was.
    await until(`${object.metadata.name} is made`, async () => [201, 409].includes((await http.post(path, object)).status))
  }
  const annotations = { 'skerry.dev/deletion-protection': 'true' }
  await create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'project-harbour', annotations } })
  await create(home, databaseOf('tidal-gauge', true))
  await create(home, databaseOf('scratch', false))
  await create('/apis/skerry.dev/v1/projects', projectOf('harbour', true))
  await create('/apis/skerry.dev/v1/projects', projectOf('quay', false))
}
const isThere = async (path: string) => (await http.get(path)).status === 200
const project = (name: string) => `/apis/skerry.dev/v1/projects/${name}`

test('the chart is installed, on a server with policies and on one without', async () => {
  assert.equal(installed.code, 0, installed.stderr)
  const path = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/skerry-deletion-protection'
  assert.equal(await isThere(path), hasPolicies)
})

test('kubectl explain says what holds, what does not, and that the data is kept', async () => {
  await until('the definition is explained', async () => (await run('explain', 'project.spec.deletionProtection')).code === 0)
  const { stdout } = await run('explain', 'project.spec.deletionProtection')
  const said = stdout.replaceAll(/\s+/g, ' ')
  for (const sentence of [
    'the API refuses to delete the project.',
    "On Kubernetes 1.30 and newer, the chart's policy skerry-deletion-protection makes the API server refuse it to kubectl and everything else as well",
    'The annotation skerry.dev/allow-deletion, with a reason as its value, overrides the policy.',
    'Before 1.30, or with the policy switched off, kubectl delete is not refused.',
    'Nothing refuses the deletion of the CRD projects.skerry.dev, which deletes all projects.',
    'The data is kept all the same: the volumes of databases stay, except those of a database with retainVolumes false.',
  ])
    assert.ok(said.includes(sentence), `${sentence}\n${stdout}`)
})

test(hasPolicies ? 'kubectl delete is refused with what to do' : 'kubectl delete is not refused, as it is said', async () => {
  await establish()
  if (!hasPolicies) {
    const deleted = await run('delete', 'project', 'harbour')
    assert.equal(deleted.code, 0, deleted.stderr)
    return assert.equal(await isThere(project('harbour')), false)
  }
  // A server takes a policy up within a second or two.
  await until('the policy is in force', async () => (await run('delete', 'project', 'harbour', '--dry-run=server')).code !== 0)
  const refusals: [args: string[], object: string, says: string][] = [
    [['project', 'harbour'], 'projects.skerry.dev "harbour"', 'the project harbour has deletionProtection.'],
    [['projects', '--all'], 'projects.skerry.dev "harbour"', 'PATCH /v1/projects/harbour {"deletionProtection":false}.'],
    [
      ['cratedb', 'tidal-gauge', '-n', 'project-harbour', '--force', '--grace-period=0'],
      'cratedbs.cloud.crate.io "tidal-gauge"',
      'PATCH /v1/projects/harbour/databases/tidal-gauge {"deletionProtection":false}.',
    ],
    [
      ['namespace', 'project-harbour'],
      'namespaces "project-harbour"',
      'kubectl annotate namespace project-harbour skerry.dev/allow-deletion=WHY',
    ],
  ]
  for (const [args, object, says] of refusals) {
    const { code, stderr } = await run('delete', ...args)
    assert.equal(code, 1, args.join(' '))
    assert.ok(
      stderr.includes(
        `${object} is forbidden: ValidatingAdmissionPolicy 'skerry-deletion-protection' with binding 'skerry-deletion-protection' denied request: `,
      ),
      stderr,
    )
    assert.ok(stderr.includes(says), stderr)
  }
  assert.equal((await http.delete(project('harbour'))).status, 403)
  assert.equal(await isThere(project('quay')), false, '--all takes what is not protected')
  for (const path of [project('harbour'), `${home}/tidal-gauge`, '/api/v1/namespaces/project-harbour']) assert.ok(await isThere(path), path)
})

test(hasPolicies ? 'a collection keeps what is protected, each by itself' : 'a collection goes as a whole', async () => {
  await establish()
  const answer = await http.delete(home)
  assert.equal(answer.status, hasPolicies ? 403 : 200, answer.text)
  if (hasPolicies)
    assert.match(
      answer.body.message,
      /the database harbour\/tidal-gauge has deletionProtection/,
      'it is named, though the request names none',
    )
  assert.equal(await isThere(`${home}/tidal-gauge`), hasPolicies)
})

test(hasPolicies ? 'others than people pass only if it is they who must' : 'nobody is refused', async () => {
  await establish()
  const rights = {
    rules: [{ apiGroups: ['skerry.dev'], resources: ['projects'], verbs: ['delete'] }],
    metadata: { name: 'delete-projects' },
  }
  await http.post('/apis/rbac.authorization.k8s.io/v1/clusterroles', rights)
  const accounts = [
    { namespace, name: 'skerry-agent', passes: true },
    { namespace: 'kube-system', name: 'namespace-controller', passes: true },
    { namespace: 'kube-system', name: 'generic-garbage-collector', passes: true },
    { namespace, name: 'skerry-monitor', passes: !hasPolicies },
    { namespace: 'default', name: 'skerry-agent', passes: !hasPolicies },
  ]
  const subjects = accounts.map((each) => ({ kind: 'ServiceAccount', name: each.name, namespace: each.namespace }))
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'delete-projects' }
  await http.post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', { metadata: { name: 'delete-projects' }, roleRef, subjects })
  for (const { passes, ...account } of accounts) {
    const token = await cluster.serviceAccountToken(account.namespace, account.name)
    const refused = /ValidatingAdmissionPolicy/
    const attempt = () => http.delete(`${project('harbour')}?dryRun=All`, undefined, { token })
    // Authorised once the API server has heard of the binding.
    await until(`${account.name} may`, async () => {
      const { status, text } = await attempt()
      return status === 200 || refused.test(text)
    })
    const { status, text } = await attempt()
    assert.equal(status, passes ? 200 : 403, `${account.namespace}/${account.name}: ${text}`)
    assert.equal(refused.test(text), !passes)
  }
})

/** The command that a message ends with, as its reader types it. */
const commandIn = (message: string) => (/kubectl (.*skerry\.dev\/allow-deletion=)WHY$/.exec(message.trim())?.[1] ?? '').split(' ')

test(hasPolicies ? 'the command of the message lets each pass, and so does its protection taken off' : 'all go', async () => {
  const doors: { args: string[]; path: string }[] = [
    { args: ['cratedb', 'tidal-gauge', '-n', 'project-harbour'], path: `${home}/tidal-gauge` },
    { args: ['project', 'harbour'], path: project('harbour') },
    // The last one: what is in it goes too, by the controllers, protected or not.
    { args: ['namespace', 'project-harbour'], path: '/api/v1/namespaces/project-harbour' },
  ]
  for (const { args, path } of doors) {
    await establish()
    if (hasPolicies) {
      const { code, stderr } = await run('delete', ...args)
      assert.equal(code, 1)
      const [last = '', ...rest] = commandIn(stderr).reverse()
      const annotated = await run(...rest.reverse(), `${last}moving to the quay`)
      assert.equal(annotated.code, 0, `${stderr}\n${annotated.stderr}`)
    }
    const deleted = await run('delete', ...args)
    assert.equal(deleted.code, 0, deleted.stderr)
    await until(`${path} is gone`, async () => !(await isThere(path)))
  }

  await establish()
  const taken = { 'skerry.dev/database': JSON.stringify({ deletionProtection: false }) }
  expectCode(await http.patch('merge', `${home}/tidal-gauge`, { metadata: { annotations: taken } }), 200)
  expectCode(await http.patch('merge', project('harbour'), { spec: { deletionProtection: false } }), 200)
  expectCode(await http.delete(`${home}/tidal-gauge`), 200)
  expectCode(await http.delete(project('harbour')), 200)
})

test('without the release nothing is refused, which uninstall.sh relies on', async () => {
  await establish()
  const { code, stderr } = await helm(['--namespace', namespace, 'uninstall', release], { kubeconfig })
  assert.equal(code, 0, stderr)
  // A server goes on with a policy for a second or two after it is deleted.
  await until('the database goes', async () => (await http.delete(`${home}/tidal-gauge`)).status !== 403)
  expectCode(await http.delete(project('harbour')), 200)
  expectCode(await http.delete('/api/v1/namespaces/project-harbour'), 200)
})
