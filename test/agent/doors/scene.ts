import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after } from 'node:test'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { kubectl, provisioner, until } from '../../cluster/index.ts'
import { helm } from '../../deploy/helm.ts'
import { type ActingRegion, startActingRegion } from '../operations/acting-region.ts'

/** A volume of a database, and what a test wrote on it. On the real control plane that is a file in a folder that goes with the volume. */
export type Volume = { name: string; claim: string; file: string | undefined }

/** A region whose databases hold real bytes where the control plane has a real provisioner, and the tools by which people lose them. */
export type DoorsScene = {
  region: ActingRegion
  /** Runs a command line of kubectl or helm as it stands; fails with what it printed. */
  run(line: string): Promise<string>
  /** A project with a database of two nodes that runs, and its volumes; something is written on those that are new. */
  database(project: string, given?: object, options?: { isNew: boolean }): Promise<Volume[]>
  /** The volumes a database claims at the moment. */
  volumesOf(project: string): Promise<Volume[]>
  /** Fails unless each volume is there, is to stay, says whose it was, and has its bytes. */
  assertKept(project: string, volumes: Volume[]): Promise<void>
  /** Resolves once the volumes and their bytes are gone. */
  untilGone(volumes: Volume[]): Promise<void>
  /** Resolves once no object of the project's namespace, or with that path, is there. */
  untilAbsent(path: string): Promise<void>
  succeeded(operation: ReturnType<ActingRegion['accept']>): Promise<void>
}

const storageClass = 'takes-all-along'
const words = 'high water 12:41'

export async function startDoorsScene(): Promise<DoorsScene> {
  const region = await startActingRegion()
  after(() => region.close())
  const { admin } = region
  const isReal = region.cluster.kind === 'real'
  // The class of a customer who never thought of it: what is released is deleted.
  await admin.request({
    method: 'POST',
    path: pathOf(kinds.StorageClass),
    body: {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name: storageClass },
      provisioner: isReal ? 'kubernetes.io/host-path' : provisioner,
      reclaimPolicy: 'Delete',
    },
  })

  const read = (path: string) => admin.request<KubernetesObject>({ method: 'GET', path }).catch(() => undefined)
  const volumePath = (name: string) => pathOf(kinds.PersistentVolume, undefined, name)

  async function volumesOf(project: string): Promise<Volume[]> {
    const path = pathOf(kinds.PersistentVolumeClaim, `project-${project}`)
    const { items } = await admin.request<{ items: KubernetesObject[] }>({ method: 'GET', path })
    const claims = items.filter(({ metadata }) => metadata.name.startsWith('data'))
    return Promise.all(
      claims.map(async ({ metadata, spec }) => {
        const volume = spec.volumeName === undefined ? undefined : await read(volumePath(spec.volumeName))
        const folder: string | undefined = volume?.spec.hostPath?.path
        return { name: spec.volumeName, claim: `project-${project}/${metadata.name}`, file: folder && join(folder, 'tide-table') }
      }),
    )
  }

  async function succeeded(accepted: ReturnType<ActingRegion['accept']>): Promise<void> {
    const { status } = await region.ended(await accepted)
    assert.equal(status?.phase, 'Succeeded', JSON.stringify(status))
  }

  return {
    region,
    volumesOf,
    succeeded,
    async run(line) {
      const [program, ...args] = line.split(' ')
      assert.ok(program === 'kubectl' || program === 'helm', line)
      const kubeconfig = region.cluster.kubeconfig()
      const { code, stdout, stderr } = await (program === 'kubectl' ? kubectl(kubeconfig, ...args) : helm(args, { kubeconfig }))
      assert.equal(code, 0, `${line}: ${stderr || stdout}`)
      return stdout
    },
    async database(project, given = {}, { isNew } = { isNew: true }) {
      if (isNew) await succeeded(region.putProject(project))
      const nodes = { count: 2, cpu: '500m', memory: '1Gi', disk: { size: '8Gi', storageClass } }
      await succeeded(region.putDatabase(project, { id: 'tide', nodes, ...given } as never))
      // It is set up once one of its nodes runs.
      const volumes = await until('both nodes have their volumes', async () => {
        const all = await volumesOf(project)
        return all.length === 2 && all.every(({ name }) => name !== undefined) && all
      })
      for (const { file } of volumes) if (file !== undefined && isNew) await writeFile(file, words)
      assert.equal(
        volumes.every(({ file }) => file !== undefined),
        isReal,
      )
      return volumes
    },
    async assertKept(project, volumes) {
      for (const { name, claim, file } of volumes) {
        const volume = await read(volumePath(name))
        assert.ok(volume && volume.metadata.deletionTimestamp === undefined, `${name} of ${claim} is gone`)
        assert.equal(volume.spec.persistentVolumeReclaimPolicy, 'Retain')
        assert.deepEqual(volume.metadata.labels, {
          ...volume.metadata.labels,
          'skerry.dev/project': project,
          'skerry.dev/database': 'tide',
        })
        assert.equal(volume.metadata.annotations?.['skerry.dev/retained-from'], claim)
        assert.equal(volume.metadata.annotations?.['skerry.dev/reclaim-policy'], 'Delete')
        assert.equal(JSON.parse(volume.metadata.annotations?.['skerry.dev/database-shape'] ?? '{}').nodes.count, 2)
        if (file !== undefined) assert.equal(await readFile(file, 'utf8'), words)
      }
    },
    async untilGone(volumes) {
      for (const { name, file } of volumes) {
        await until(`${name} is gone`, async () => (await read(volumePath(name))) === undefined, 60_000)
        if (file !== undefined) assert.equal(existsSync(file), false, `${file} is left`)
      }
    },
    untilAbsent: (path) => until(`${path} is gone`, async () => (await read(path)) === undefined, 60_000).then(() => {}),
  }
}
