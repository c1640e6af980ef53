import assert from 'node:assert/strict'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, test } from 'node:test'
import { stringify } from 'yaml'
import { projectOfTarget } from '../../../agent/resources/kind.ts'
import { isProblem } from '../../../shared/errors.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { chart } from '../../deploy/helm.ts'
import { definitions } from '../../region/definitions.ts'
import { install } from '../../shared/kubernetes/connected.ts'
import { faultOfChain } from '../operations/chain.ts'
import { startDoorsScene, type Volume } from './scene.ts'

/*
 * Every door through which a database, or what it stands in, can leave. The data stays, whichever is taken, but for those that ask for
 * its end. The commands are what people type; on the real control plane the volumes are folders that really go with a volume.
 */

const scene = await startDoorsScene()
const { region, run } = scene

const pathOfProject = (project: string) => pathOf(kinds.Project, undefined, project)
const pathOfNamespace = (project: string) => pathOf(kinds.Namespace, undefined, `project-${project}`)
const definitionPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

/** Resolves once nothing claims the volumes any more. */
async function untilReleased(project: string): Promise<void> {
  await until(`the claims of ${project} are gone`, async () => (await scene.volumesOf(project)).length === 0, 60_000)
}

async function scaleOperator(replicas: 0 | 1): Promise<void> {
  await run(`kubectl --namespace crate-operator scale deployment crate-operator --replicas=${replicas}`)
  await run('kubectl --namespace crate-operator rollout status deployment crate-operator --timeout=60s')
}

/** The entry of the ledger about what was deleted by hand. */
async function recorded(project: string, database?: string): Promise<void> {
  const record = await until(`the deletion in ${project} is recorded`, async () =>
    region.journal.all().find(({ spec, status }) => {
      const { kind } = spec.target
      const isAbout = projectOfTarget(spec.target) === project && kind === (database === undefined ? 'project' : 'database')
      return spec.action === 'record-deletion' && isAbout && status?.phase === 'Succeeded'
    }),
  )
  // The operation ends by the executor, and the Event comes from the controller.
  const path = pathOf(kinds.Event, 'skerry', `skerry-deletion.${record.spec.parameters?.uid}`)
  const event = await until('an Event tells of it', () =>
    region.admin.request<KubernetesObject>({ method: 'GET', path }).catch((error: unknown) => {
      if (isProblem(error, 'not-found')) return undefined
      throw error
    }),
  )
  assert.equal(event.reason, 'DeletedOutside')
  assert.ok(region.logged.some(({ msg, uid }) => msg === 'deleted outside Skerry' && uid === record.spec.parameters?.uid))
  assert.equal(faultOfChain(region.journal.all()), undefined)
}

test('kubectl delete of the database', async () => {
  const volumes = await scene.database('cratedb')
  await run('kubectl --namespace project-cratedb delete cratedb tide')
  await untilReleased('cratedb')
  await scene.assertKept('cratedb', volumes)
  await recorded('cratedb', 'tide')

  // Only who asks for just that gets rid of what was kept: of a released volume, as the page says. Until then, the agent keeps it again.
  const isReal = region.cluster.kind === 'real'
  for (const { name } of volumes) {
    const path = pathOf(kinds.PersistentVolume, undefined, name)
    const phase = async () => (await region.admin.request<KubernetesObject>({ method: 'GET', path })).status?.phase
    if (isReal) await until(`${name} is released`, async () => (await phase()) === 'Released')
    await run(`kubectl patch persistentvolume ${name} --type=merge -p {"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
  }
  if (isReal) await scene.untilGone(volumes)
})

test("kubectl delete of the project's namespace", async () => {
  const volumes = await scene.database('namespace')
  await run('kubectl delete namespace project-namespace --wait=false')
  await until(
    'the namespace is another one',
    async () => {
      const { metadata } = await region.admin
        .request<KubernetesObject>({ method: 'GET', path: pathOfNamespace('namespace') })
        .catch(() => ({
          metadata: { deletionTimestamp: 'gone' },
        }))
      return metadata.deletionTimestamp === undefined && (await scene.volumesOf('namespace')).length === 0
    },
    60_000,
  )
  await scene.assertKept('namespace', volumes)
  await recorded('namespace', 'tide')

  // As docs/operating.md says, and then the same database again.
  for (const { name } of volumes)
    await run(`kubectl patch persistentvolume ${name} --type=merge -p {"spec":{"claimRef":{"uid":null,"resourceVersion":null}}}`)
  assert.deepEqual(await scene.database('namespace', {}, { isNew: false }), volumes)
  await scene.assertKept('namespace', volumes)
})

test('kubectl delete of the project, which then waits for its database', async () => {
  const volumes = await scene.database('project', { deletionProtection: true })
  await run('kubectl delete project project --wait=false')
  await recorded('project')
  await until('it says what it waits for', async () => {
    const { status } = await region.admin.request<KubernetesObject>({ method: 'GET', path: pathOfProject('project') })
    return status?.conditions?.[0]?.reason === 'DatabasesRemain'
  })
  assert.equal((await scene.volumesOf('project')).length, 2)
  await scene.assertKept('project', volumes)
})

test('kubectl delete of a project whose finalizers were taken off: the namespace and the database stay', async () => {
  const volumes = await scene.database('released')
  await run('kubectl delete project released --wait=false')
  await run('kubectl patch project released --type merge --patch {"metadata":{"finalizers":null}}')
  await scene.untilAbsent(pathOfProject('released'))
  assert.deepEqual(await scene.volumesOf('released'), volumes)
  await scene.assertKept('released', volumes)

  // Put again, it takes up what is there.
  await scene.succeeded(region.putProject('released'))
  assert.equal((await region.cratedb('released', 'tide')).metadata.deletionTimestamp, undefined)
  assert.deepEqual(await scene.volumesOf('released'), volumes)
})

test('kubectl delete of everything, by force, with the operator away', async () => {
  const volumes = await scene.database('force')
  await scaleOperator(0)
  await run('kubectl --namespace project-force delete cratedb tide --wait=false')
  await run('kubectl --namespace project-force patch cratedb tide --type merge --patch {"metadata":{"finalizers":null}}')
  await run('kubectl --namespace project-force delete statefulsets,pods,persistentvolumeclaims --all --force --grace-period=0 --wait=false')
  await untilReleased('force')
  await scene.assertKept('force', volumes)
  await scaleOperator(1)
})

test('somebody tells a kept volume to go with its claim: it is kept again', async () => {
  const volumes = await scene.database('policy')
  const [{ name } = { name: '' }] = volumes
  await run(`kubectl patch persistentvolume ${name} --type merge --patch {"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
  await until('it is kept again', async () => {
    const { spec } = await region.admin.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.PersistentVolume, undefined, name) })
    return spec.persistentVolumeReclaimPolicy === 'Retain'
  })
  await run(`kubectl label persistentvolume ${name} skerry.dev/database- skerry.dev/project-`)
  await until('it says again whose it is', () =>
    scene.assertKept('policy', volumes).then(
      () => true,
      () => false,
    ),
  )
})

test('the operator scaled to 0 and back, and the database to 0 and back', async () => {
  const volumes = await scene.database('scaled')
  await scaleOperator(0)
  await scaleOperator(1)
  for (const suspended of [true, false]) {
    const { spec } = (await region.journal.lastSucceeded({ kind: 'database', project: 'scaled', database: 'tide' })) ?? {}
    const target = { kind: 'database' as const, project: 'scaled', database: 'tide' }
    await scene.succeeded(
      region.accept({ action: suspended ? 'suspend' : 'resume', target, wanted: { ...(spec?.wanted as object), suspended } }),
    )
    await scene.assertKept('scaled', volumes)
  }
  assert.deepEqual(await scene.volumesOf('scaled'), volumes)
})

test('an operation that was asked to let the volumes go', async () => {
  const volumes = await scene.database('letgo')
  const target = { kind: 'database' as const, project: 'letgo', database: 'tide' }
  await scene.succeeded(region.accept({ action: 'delete', target, parameters: { retainVolumes: false } }))
  await scene.untilGone(volumes)
})

test('a project that was asked to let the volumes of its databases go with it', async () => {
  const volumes = await scene.database('cascade')
  const target = { kind: 'project' as const, project: 'cascade' }
  await scene.succeeded(region.accept({ action: 'delete', target, parameters: { cascade: true, retainVolumes: false } }))
  await scene.untilGone(volumes)
})

test('a database that said itself that its volumes go with it, however it goes', async () => {
  const volumes = await scene.database('fleeting', { retainVolumes: false })
  await run('kubectl --namespace project-fleeting delete cratedb tide')
  await scene.untilGone(volumes)
})

test('that it says so itself counts only when an operation has said it: an edit by hand lets nothing go', async () => {
  const volumes = await scene.database('edited')
  await run('kubectl --namespace project-edited annotate cratedb tide --overwrite skerry.dev/database={"retainVolumes":false}')
  await run('kubectl --namespace project-edited delete cratedb tide')
  await untilReleased('edited')
  await scene.assertKept('edited', volumes)
})

test('helm uninstall of Skerry, and of the Crate Operator with its definition', async () => {
  const volumes = await scene.database('helm')
  const folder = await standInChart()
  await run(`helm install crate-operator-crds ${folder} --namespace crate-operator --take-ownership --force-conflicts`)
  const values = [
    'region.id=harbour-1',
    'agent.tls.mode=existingSecret',
    'agent.tls.existingSecret=tls',
    'agent.tokens.existingSecret=tokens',
    // The embedded control plane calls itself 1.33 and has no policies.
    ...['deletionProtection', 'agentBoundary'].map((policy) => `${policy}.enabled=${region.cluster.kind === 'real'}`),
  ]
  await run(`helm install skerry ${chart} --namespace skerry --take-ownership --force-conflicts --set ${values.join(',')}`)
  await run('helm uninstall skerry --namespace skerry')
  assert.deepEqual(await scene.volumesOf('helm'), volumes)
  await run('helm uninstall crate-operator-crds --namespace crate-operator')
  await untilReleased('helm')
  await scene.assertKept('helm', volumes)
  await reinstalled('helm')
})

test('kubectl delete of the definition of databases', async () => {
  const volumes = await scene.database('definition')
  await run('kubectl delete customresourcedefinition cratedbs.cloud.crate.io --wait=false')
  await untilReleased('definition')
  await scene.assertKept('definition', volumes)
  await reinstalled('definition')
})

test('kubectl delete of the definition of projects: namespaces and databases stay', async () => {
  const volumes = await scene.database('projects')
  await run('kubectl delete customresourcedefinition projects.skerry.dev --wait=false')
  assert.deepEqual(await scene.volumesOf('projects'), volumes)
  await scene.assertKept('projects', volumes)
})

/** The chart of the operator's definition as it is: a template, without a policy that keeps it. */
async function standInChart(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-chart-'))
  after(() => rm(folder, { recursive: true, force: true }))
  await mkdir(join(folder, 'templates'))
  await writeFile(join(folder, 'Chart.yaml'), stringify({ apiVersion: 'v2', name: 'crate-operator-crds', version: '2.63.0' }))
  for (const file of definitions.crateDB) await copyFile(file, join(folder, 'templates', basename(file)))
  return folder
}

/** The definition is brought back, and the deletion of what went with it is in the ledger. */
async function reinstalled(project: string): Promise<void> {
  await scene.untilAbsent(`${definitionPath}/cratedbs.cloud.crate.io`)
  await install(region.admin, definitions.crateDB)
  await recorded(project, 'tide')
  assert.equal((await region.admin.request<{ items: Volume[] }>({ method: 'GET', path: pathOf(kinds.CrateDB) })).items.length, 0)
}
