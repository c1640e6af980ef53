import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { desiredDatabase, readDatabase } from '../../../agent/resources/cratedb.ts'
import { databaseSpec, splitSecrets } from '../../../agent/resources/database.ts'
import { planDatabase } from '../../../agent/resources/database-plan.ts'
import { fieldManager } from '../../../agent/resources/labels.ts'
import { desiredProject, projectSpec, readProject } from '../../../agent/resources/project.ts'
import { projectObjects } from '../../../agent/resources/project-objects.ts'
import { applyObject } from '../../../shared/kubernetes/apply.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { startCluster, untilQuotasCount } from '../../cluster/index.ts'
import { definitions, regionDefinitions } from '../../region/definitions.ts'
import { connectTo, install } from '../../shared/kubernetes/connected.ts'
import { everything, options, target } from './samples.ts'

const control = await startCluster({ crds: regionDefinitions() })
const cluster = connectTo(control)
await install(cluster, [...definitions.skerry, ...definitions.crateDB])
after(async () => {
  cluster.close()
  await control.stop()
})

function apply(object: KubernetesObject): Promise<KubernetesObject> {
  return applyObject(cluster, object, { fieldManager, force: true })
}

test('a control plane takes the objects of a project and of a database, and prunes nothing of them', { timeout: 120_000 }, async () => {
  const wanted = projectSpec.parse({
    id: 'harbour',
    displayName: 'Harbour',
    quota: { cpu: 100, memory: '500Gi', storage: '10Ti', databases: 2 },
    labels: { a: 'b' },
  })
  const project = await apply(desiredProject(wanted))
  assert.deepEqual(readProject(project), wanted)
  const surroundings = {
    agentNamespace: 'skerry',
    operatorNamespace: 'crate-operator',
    scrapeNamespaces: ['monitoring'],
    pullSecrets: [],
    databases: [],
    accounts: { agent: 'skerry-agent', monitor: 'skerry-monitor' },
    cloudMetadata: true,
  }
  for (const object of projectObjects(project, surroundings)) {
    const { spec } = await apply(object)
    if (object.kind === 'NetworkPolicy') assert.deepEqual(spec.policyTypes, object.spec.policyTypes)
  }

  await untilQuotasCount(control, 'project-harbour')

  const { spec, secrets } = splitSecrets(databaseSpec.parse(everything))
  let cratedb: KubernetesObject | undefined
  for (const object of desiredDatabase(target, spec, secrets, options)) {
    cratedb = await apply(object)
    assert.deepEqual(cratedb.spec, object.spec)
  }
  assert.ok(cratedb)
  assert.deepEqual(readDatabase(cratedb), spec)

  // Step by step to another state: each applied to what the one before has left.
  const changed = { ...spec, version: '5.10.2', allowedCIDRs: [], deletionProtection: false, exposure: { type: 'loadbalancer' as const } }
  const done: string[] = []
  for (
    let [step] = planDatabase(target, cratedb, changed, {}, options);
    step;
    [step] = planDatabase(target, cratedb, changed, {}, options)
  ) {
    done.push(step.name)
    assert.ok(done.length < 10, done.join(', '))
    for (const object of step.objects) cratedb = await apply(object)
  }
  assert.deepEqual(done, ['annotate', 'allow-list', 'exposure', 'upgrade'])
  assert.deepEqual(readDatabase(cratedb), changed)
})

test('what a project is given can be taken away again, member by member', async () => {
  const id = 'buoyage'
  const full = {
    id,
    displayName: 'Buoyage',
    organization: 'Port',
    quota: { cpu: 1, databases: 2 },
    imagePullSecrets: ['a'],
    labels: { a: 'b' },
  }
  for (const member of ['displayName', 'organization', 'quota', 'imagePullSecrets', 'labels'] as const) {
    await apply(desiredProject(projectSpec.parse(full)))
    const { [member]: _, ...rest } = full
    const less = projectSpec.parse(rest)
    assert.deepEqual(readProject(await apply(desiredProject(less))), less, member)
  }
})
