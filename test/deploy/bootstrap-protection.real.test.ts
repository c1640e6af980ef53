import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { expectCode, installedTool, until } from '../cluster/index.ts'
import { installObject } from '../shared/kubernetes/connected.ts'
import type { RunOptions } from './bootstrap.ts'
import { openScene, succeeded } from './bootstrap-scene.ts'
import { chart, helm } from './helm.ts'
import { shapes } from './shapes.ts'

// uninstall.sh and the policy of deletion protection. Where the API server knows no policies, a kubectl in front of the real one says what
// it would say of a server that has one.

const scene = await openScene()
const { admin, http, bench, kubeconfig, install, uninstall } = scene
after(() => scene.close())
const { minor } = expectCode(await http.get('/version'), 200)
const hasPolicies = Number.parseInt(minor, 10) >= 30

const home = '/apis/cloud.crate.io/v1/namespaces/project-harbour/cratedbs'
const protection =
  'the database harbour/tide has deletionProtection. Turn it off through the API: PATCH /v1/projects/harbour/databases/tide'

/** A project with one database, both protected, as the agent has them. */
async function establish(): Promise<void> {
  const labels = { 'app.kubernetes.io/managed-by': 'skerry', 'skerry.dev/project': 'harbour' }
  const annotations = { 'skerry.dev/deletion-protection': 'true' }
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'project-harbour', labels, annotations } })
  const kept = { 'skerry.dev/database': '{"deletionProtection":true,"retainVolumes":true,"labels":{}}' }
  const resources = { heapRatio: 0.25, disk: { count: 1, size: '8GiB', storageClass: 'crate-premium' } }
  const spec = {
    cluster: { name: 'tide', imageRegistry: 'crate', version: '5.10.1' },
    nodes: { data: [{ name: 'hot', replicas: 1, resources }] },
  }
  const database = { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { name: 'tide', annotations: kept }, spec }
  const project = { apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name: 'harbour' }, spec: { deletionProtection: true } }
  // A kind is listed a moment before it can be created.
  for (const [path, object] of Object.entries({ [home]: database, '/apis/skerry.dev/v1/projects': project }))
    await until(`${path} takes objects`, async () => (await http.post(path, object)).status === 201)
}
const isThere = async (path: string) => (await http.get(path)).status === 200

/** A kubectl that is refused the deletion of databases, the first `times`, by a policy that is there or is not any more. */
async function refusing(times: number, policy: 'there' | 'gone'): Promise<RunOptions> {
  const tools = join(bench.folder, `refusing-${policy}`)
  await mkdir(tools, { recursive: true })
  const refused = `Error from server (Forbidden): cratedbs.cloud.crate.io "tide" is forbidden: ValidatingAdmissionPolicy \
'skerry-deletion-protection' with binding 'skerry-deletion-protection' denied request: ${protection}`
  const text = `#!/bin/sh
case " $* " in
  *' delete cratedbs.cloud.crate.io '*)
    echo >>'${tools}/asked'
    if [ "$(wc -l <'${tools}/asked')" -le ${times} ]; then
      cat >&2 <<'END'
${refused}
END
      exit 1
    fi
    ;;
  *' get validatingadmissionpolicies.admissionregistration.k8s.io '*)
    ${policy === 'there' ? 'echo validatingadmissionpolicy.admissionregistration.k8s.io/skerry-deletion-protection' : ':'}
    exit
    ;;
esac
exec '${await installedTool('kubectl')}' "$@"
`
  await writeFile(join(tools, 'kubectl'), text, { mode: 0o755 })
  return { env: { PATH: `${tools}:${bench.folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin` } }
}

test('what is protected by a Skerry that stays is not deleted, and the reason is that of its policy', async () => {
  succeeded(await install(['--no-wait', '--only', 'crate-operator-crds', '--only', 'crate-operator']))
  const theirs = await helm(['install', 'skerry', chart, '-n', 'skerry', '--create-namespace'], { kubeconfig, values: shapes.default })
  assert.equal(theirs.code, 0, theirs.stderr)
  await establish()
  if (hasPolicies) await until('the policy is in force', async () => (await http.delete(`${home}/tide?dryRun=All`)).status === 403)

  const ran = await uninstall(['--delete-databases'], hasPolicies ? {} : await refusing(1000, 'there'))
  assert.equal(ran.code, 1, ran.out)
  assert.match(ran.out, /FAILED after \d+ s: cratedbs\.cloud\.crate\.io tide cannot be deleted\n/)
  assert.equal(ran.log.split(' delete cratedbs.cloud.crate.io tide ').length - 1, 1, 'it is not asked again')
  assert.ok(ran.out.includes(`denied request: ${protection}`), ran.out)
  for (const path of [`${home}/tide`, '/apis/skerry.dev/v1/projects/harbour', '/api/v1/namespaces/project-harbour'])
    assert.ok(await isThere(path), path)
  const gone = await helm(['uninstall', 'skerry', '-n', 'skerry'], { kubeconfig })
  assert.equal(gone.code, 0, gone.stderr)
})

test('Skerry of the installer goes first, and what it protected then goes too, while a server still minds its policy', async () => {
  succeeded(await install(['--no-wait', '--only', 'skerry', '--values', await ownership()]))
  if (hasPolicies) await until('the policy is in force', async () => (await http.delete(`${home}/tide?dryRun=All`)).status === 403)

  const ran = await uninstall(['--delete-databases'], hasPolicies ? {} : await refusing(2, 'gone'))
  succeeded(ran)
  assert.match(ran.out, /\] skerry: .*\n {7}gone.*\n\[\d+\/\d+\] databases: 1\n {7}gone/)
  if (!hasPolicies) assert.equal(ran.log.split(protection).length - 1, 2, 'it was refused twice')
  for (const path of [`${home}/tide`, '/apis/skerry.dev/v1/projects/harbour', '/api/v1/namespaces/project-harbour'])
    assert.equal(await isThere(path), false, path)
})

/** Values with which the installer leaves the definitions to the release that they are of. */
async function ownership(): Promise<string> {
  const file = join(bench.folder, 'values.yaml')
  await writeFile(file, 'crds: { install: false }\n')
  return file
}
