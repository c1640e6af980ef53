import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createStorageClasses, kubectl, openWorld, startCrateOperatorStandIn, until } from '../cluster/index.ts'
import { chart, helm, type Manifest, namespace, release } from '../deploy/helm.ts'
import { createClient } from '../region/client.ts'
import { definitions } from '../region/definitions.ts'
import { showDatabasesReady } from './database-pods.ts'
import { inPod } from './in-pod.ts'
import { startNode } from './node.ts'
import { createStory } from './story.ts'

/*
 * CrateDB is not available here, so that another pod writes to the volumes of a database, and reads from them.
 */

const token = randomBytes(24).toString('base64url')
const sha256 = createHash('sha256').update(token).digest('hex')
const scopes = ['region:read', 'projects:write', 'databases:write']
const project = '/v1/projects/harbour'
const path = `${project}/databases/tide`
const inNamespace = '/api/v1/namespaces/project-harbour'
const words = 'high water 12:41'
const claim = 'data0-crate-data-hot-tide-0'
/** Where the volume is. */
const onVolume = { namespace: 'project-harbour', claim }

test('what a pod has written on the volume of a database outlives the database and its namespace, and is read by a pod again', async (t) => {
  const node = await startNode({ crds: definitions.crateDB.map((file) => readFileSync(file, 'utf8')) })
  const { http, cluster } = node
  const world = await openWorld(cluster)
  await createStorageClasses(world)
  const hideDatabases = await showDatabasesReady(world)
  const operator = await startCrateOperatorStandIn(cluster, { stepMs: 20, events: false })
  t.after(async () => {
    await operator.stop()
    hideDatabases()
    await world.close()
    await node.stop()
  })
  const { step } = createStory(t, node, [namespace, 'project-harbour'])
  let client: ReturnType<typeof createClient>
  t.after(() => client?.close())

  const read = async (at: string): Promise<Manifest | undefined> => (await http.get(at)).body
  async function volume(): Promise<Manifest> {
    const { items } = (await read('/api/v1/persistentvolumes?labelSelector=skerry.dev/database%3Dtide')) as Manifest
    assert.equal(items.length, 1)
    return items[0]
  }
  async function run(line: string): Promise<void> {
    const { code, stderr } = await kubectl(cluster.kubeconfig(), ...line.split(' ').slice(1))
    assert.equal(code, 0, `${line}: ${stderr}`)
  }
  /** Sends a request and resolves with its operation once that has succeeded. */
  async function ask(method: string, at: string, body?: object): Promise<Manifest> {
    const answer = await client.call(method, at, { headers: { prefer: 'wait=25' }, ...(body && { body }) })
    assert.ok(answer.status === 200 || answer.status === 202, answer.text)
    const operation = async () => (await client.call('GET', `/v1/operations/${answer.body.id}`)).body
    await until(`${method} ${at} has ended`, async () => (await operation()).endedAt !== undefined, 120_000)
    const ended = await operation()
    assert.equal(ended.phase, 'Succeeded', JSON.stringify(ended))
    return ended
  }
  const putDatabase = () =>
    ask('PUT', path, {
      version: '5.10.1',
      nodes: { count: 1, cpu: '100m', memory: '1Gi', disk: { size: '1Gi', storageClass: 'folders' } },
      users: [{ name: 'harbourmaster', generate: true }],
      allowedCIDRs: ['10.20.0.0/16'],
      exposure: { type: 'traefik', hostname: 'tide.example.org' },
    })
  await step('the chart brings the agent, and a database is put whose class deletes what is released', async () => {
    const folders = { metadata: { name: 'folders' }, provisioner: 'kubernetes.io/host-path', reclaimPolicy: 'Delete' }
    assert.equal((await http.post('/apis/storage.k8s.io/v1/storageclasses', folders)).status, 201)
    const values = {
      region: { id: 'harbour-1' },
      agent: { replicas: 1, tokens: { list: [{ name: 'cloud', sha256, scopes }] } },
      monitor: { enabled: false },
    }
    const args = ['--namespace', namespace, 'install', release, chart, '--create-namespace', '--wait', '--timeout', '110s']
    const { code, stderr } = await helm(args, { kubeconfig: cluster.kubeconfig(), values })
    assert.equal(code, 0, stderr)
    const { spec } = (await read(`/api/v1/namespaces/${namespace}/services/skerry-agent`)) as Manifest
    const { data } = (await read(`/api/v1/namespaces/${namespace}/secrets/skerry-agent-tls`)) as Manifest
    const host = `skerry-agent.${namespace}.svc`
    await node.nameAddress(host, spec.clusterIP)
    client = createClient({ url: `https://${host}:8443`, ca: Buffer.from(data['ca.crt'], 'base64').toString(), token })
    await ask('PUT', project, {})
    await putDatabase()
    assert.equal((await volume()).spec.persistentVolumeReclaimPolicy, 'Retain')
  })

  const reading = `if (readFileSync('/data/tide-table', 'utf8') !== '${words}') process.exit(1)`
  /** Has the only deleted database back, on that volume. */
  async function undelete(name: string): Promise<void> {
    const { body } = await client.call('GET', `${project}/deleted-databases`)
    assert.deepEqual(
      body.items.map(({ volumes }: Manifest) => volumes.map((each: Manifest) => each.volume)),
      [[name]],
    )
    const { result } = await ask('POST', `${project}/deleted-databases/${body.items[0].id}/actions/undelete`)
    assert.equal(result.volumes[0].volume, name)
    assert.equal((await read(`${inNamespace}/persistentvolumeclaims/${claim}`))?.spec.volumeName, name)
  }

  let file = ''
  await step('a pod writes on its volume', async () => {
    await inPod(node, onVolume, 'writer', `writeFileSync('/data/tide-table', '${words}')`)
    file = join((await volume()).spec.hostPath.path, 'tide-table')
    assert.equal(readFileSync(file, 'utf8'), words)
  })

  await step('deleted by the API, the database comes back with the bytes', async () => {
    const { metadata } = await volume()
    const { result } = await ask('DELETE', path)
    assert.equal(result.retainedVolumes[0].volume, metadata.name)
    assert.equal(readFileSync(file, 'utf8'), words)
    await undelete(metadata.name)
    await inPod(node, onVolume, 'reader-after-undelete', reading)
  })

  await step('the namespace is deleted by hand, and the bytes are there', async () => {
    await run('kubectl delete namespace project-harbour --wait=false')
    const isReleased = async () => (await volume()).status.phase === 'Released'
    await until('the volume is released', isReleased, 120_000)
    const { spec, metadata } = await volume()
    assert.equal(spec.persistentVolumeReclaimPolicy, 'Retain')
    assert.equal(metadata.annotations['skerry.dev/retained-from'], `project-harbour/${claim}`)
    assert.equal(readFileSync(file, 'utf8'), words)
  })

  await step('taken back, a pod reads them', async () => {
    const { metadata } = await volume()
    const isReady = async () => (await client.call('GET', project)).body.status?.phase === 'Ready'
    await until(
      'the project is there again',
      async () => (await read(inNamespace))?.status?.phase === 'Active' && (await isReady()),
      120_000,
    )
    await undelete(metadata.name)
    await inPod(node, onVolume, 'reader', reading)
  })

  await step('only a deletion that says so takes them along', async () => {
    await ask('DELETE', `${path}?retainVolumes=false`)
    await until('the folder is gone', async () => !existsSync(file), 60_000)
  })
})
