import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createStorageClasses, installedTool, openWorld, startCrateOperatorStandIn, until } from '../cluster/index.ts'
import { chart, helm, type Manifest, namespace, release } from '../deploy/helm.ts'
import { type Client, createClient } from '../region/client.ts'
import { definitions } from '../region/definitions.ts'
import { showDatabasesReady } from './database-pods.ts'
import type { Docker } from './docker.ts'
import { inPod } from './in-pod.ts'
import { type RealNode, startNode } from './node.ts'
import { createStory } from './story.ts'

/*
 * The cluster is lost, with everything in etcd. What is left: the region file, and the disk of the machine. CrateDB is not available here, so
 * that another pod writes to the volume of a database, and reads from it.
 */

const token = randomBytes(24).toString('base64url')
const sha256 = createHash('sha256').update(token).digest('hex')
const scopes = ['region:read', 'region:write', 'projects:write', 'databases:write']
const project = '/v1/projects/harbour'
const path = `${project}/databases/tide`
const words = 'low water 18:53'
const claim = 'data0-crate-data-hot-tide-0'
/** Where the volume is. */
const onVolume = { namespace: 'project-harbour', claim }
const crds = definitions.crateDB.map((file) => readFileSync(file, 'utf8'))

/** A cluster with what Skerry needs in it. The storage class is one of folders of the machine, and deletes what is released. */
async function openCluster(docker?: Docker) {
  const node = await startNode({ crds, ...(docker && { docker }) })
  const { http, cluster } = node
  const world = await openWorld(cluster)
  await createStorageClasses(world)
  const hideDatabases = await showDatabasesReady(world)
  const operator = await startCrateOperatorStandIn(cluster, { stepMs: 20, events: false })
  const folders = { metadata: { name: 'folders' }, provisioner: 'kubernetes.io/host-path', reclaimPolicy: 'Delete' }
  assert.equal((await http.post('/apis/storage.k8s.io/v1/storageclasses', folders)).status, 201)
  return {
    node,
    async close(keepsDocker = false) {
      await operator.stop()
      hideDatabases()
      await world.close()
      await node.stop({ keepsDocker })
    },
  }
}

const values = (agent: object = {}) => ({
  region: { id: 'harbour-1' },
  agent: { replicas: 1, tokens: { list: [{ name: 'cloud', sha256, scopes }] }, ...agent },
  monitor: { enabled: false },
})

/** Helm installs the region, and its API answers. */
async function installRegion(node: RealNode, given: object): Promise<Client> {
  const args = ['--namespace', namespace, 'install', release, chart, '--create-namespace', '--wait', '--timeout', '110s']
  const { code, stderr } = await helm(args, { kubeconfig: node.cluster.kubeconfig(), values: given })
  assert.equal(code, 0, stderr)
  const { spec } = (await node.http.get(`/api/v1/namespaces/${namespace}/services/skerry-agent`)).body as Manifest
  const { data } = (await node.http.get(`/api/v1/namespaces/${namespace}/secrets/skerry-agent-tls`)).body as Manifest
  const host = `skerry-agent.${namespace}.svc`
  await node.nameAddress(host, spec.clusterIP)
  return createClient({ url: `https://${host}:8443`, ca: Buffer.from(data['ca.crt'], 'base64').toString(), token })
}

/** Sends a request and waits for the end of its operation. */
async function ask(client: Client, method: string, at: string, body: object): Promise<void> {
  const answer = await client.call(method, at, { headers: { prefer: 'wait=25' }, body })
  assert.ok(answer.status === 200 || answer.status === 202, answer.text)
  const operation = async () => (await client.call('GET', `/v1/operations/${answer.body.id}`)).body
  await until(`${method} ${at} has ended`, async () => (await operation()).endedAt !== undefined, 120_000)
  assert.equal((await operation()).phase, 'Succeeded', JSON.stringify(await operation()))
}

/** A command in the agent's pod, as docs/recovery.md has it, with the file on its standard input. */
async function importing({ cluster }: RealNode, file: string, ...args: string[]): Promise<{ code: number; out: string }> {
  const kubeconfig = join(tmpdir(), 'kubeconfig-of-import')
  await writeFile(kubeconfig, cluster.kubeconfig(), { mode: 0o600 })
  const words = ['-n', 'skerry', 'exec', '-i', 'deploy/skerry-agent', '--', 'node', '/skerry/agent.mjs', 'import', '-', ...args]
  const kubectl = await installedTool('kubectl')
  return new Promise((resolve) => {
    const child = execFile(kubectl, ['--kubeconfig', kubeconfig, ...words], { timeout: 120_000 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out: stdout + stderr })
    })
    child.stdin?.end(file)
  })
}

async function volumeOf({ http }: RealNode): Promise<Manifest> {
  const { items } = (await http.get('/api/v1/persistentvolumes?labelSelector=skerry.dev/database%3Dtide')).body as Manifest
  assert.equal(items.length, 1)
  return items[0]
}

test('a cluster is lost with its etcd, and a new one has the databases of the region with the same bytes', async (t: TestContext) => {
  let place = await openCluster()
  let client: Client | undefined
  t.after(async () => {
    client?.close()
    await place.close()
  })
  const present = {
    get cluster() {
      return place.node.cluster
    },
    get http() {
      return place.node.http
    },
    logTails: () => place.node.logTails(),
  }
  const { step } = createStory(t, present, [namespace, 'project-harbour'])
  let file = ''
  let folder = ''

  await step('a database is put, and a pod writes on its volume', async () => {
    client = await installRegion(place.node, values())
    await ask(client, 'PUT', project, { displayName: 'Harbour authority' })
    await ask(client, 'PUT', path, {
      version: '5.10.1',
      nodes: { count: 1, cpu: '100m', memory: '1Gi', disk: { size: '1Gi', storageClass: 'folders' } },
      users: [{ name: 'harbourmaster', generate: true }],
      allowedCIDRs: ['10.20.0.0/16'],
      exposure: { type: 'traefik', hostname: 'tide.example.org' },
    })
    await inPod(place.node, onVolume, 'writer', `writeFileSync('/data/tide-table', '${words}')`)
    folder = (await volumeOf(place.node)).spec.hostPath.path
  })

  await step('its region file is fetched', async () => {
    assert.ok(client)
    const answer = await client.call('GET', '/v1/region/export')
    assert.equal(answer.status, 200, answer.text)
    file = answer.text
  })

  await step('the control plane is thrown away, and the disk is not', async () => {
    client?.close()
    client = undefined
    const { docker } = place.node
    await place.close(true)
    assert.equal(readFileSync(join(folder, 'tide-table'), 'utf8'), words)
    place = await openCluster(docker)
    assert.deepEqual((await place.node.http.get('/api/v1/persistentvolumes')).body.items, [])
  })

  await step('the chart is installed again, and the command says what it would do', async () => {
    client = await installRegion(place.node, values({ import: { enabled: true } }))
    const refused = await importing(place.node, file)
    assert.equal(refused.code, 1, refused.out)
    assert.match(refused.out, /is of another cluster/)
    const plan = await importing(place.node, file, '--dry-run', '--old-cluster-is-gone')
    assert.equal(plan.code, 0, plan.out)
    assert.match(plan.out, /^harbour\/tide +ready +1 volume$/m)
  })

  await step('it imports the region, and a pod reads the same bytes', async () => {
    const done = await importing(place.node, file, '--old-cluster-is-gone')
    assert.equal(done.code, 0, done.out)
    assert.match(done.out, /^Succeeded: 1 database was made again/m)
    const volume = await volumeOf(place.node)
    assert.equal(volume.spec.hostPath.path, folder)
    assert.equal(volume.status.phase, 'Bound')
    assert.equal(volume.spec.persistentVolumeReclaimPolicy, 'Retain')
    await inPod(place.node, onVolume, 'reader', `if (readFileSync('/data/tide-table', 'utf8') !== '${words}') process.exit(1)`)
    const read = await client?.call('GET', path)
    assert.equal(read?.status, 200, read?.text)
  })

  await step('imported again, it stands', async () => {
    const again = await importing(place.node, file, '--old-cluster-is-gone')
    assert.match(again.out, /^Succeeded: 0 databases were made again, 1 stood already/m)
    assert.ok(existsSync(join(folder, 'tide-table')))
  })
})
