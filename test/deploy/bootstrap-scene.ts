import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createHttp,
  createNodes,
  createStorageClasses,
  installedTool,
  nodeShapes,
  openWorld,
  runKubelet,
  runVolumes,
  startRealCluster,
} from '../cluster/index.ts'
import { connectTo } from '../shared/kubernetes/connected.ts'
import { type Bench, createBench, packCharts, type Ran, type RunOptions, readComponents, withoutLeast } from './bootstrap.ts'

export type Scene = Awaited<ReturnType<typeof openScene>>

/**
 * A real control plane, on which install.sh and uninstall.sh run with the real kubectl and helm. The charts are stand-ins under the real
 * names and versions, for none can be fetched here; Skerry's is the real one. A stand-in for kubelets calls their pods ready.
 */
export async function openScene() {
  const cluster = await startRealCluster()
  const admin = await connectTo(cluster)
  const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
  const world = await openWorld(cluster)
  const bench = await createBench()
  await Promise.all([createNodes(world, nodeShapes(4)), createStorageClasses(world, 'Delete')])
  const [kubelet, volumes] = await Promise.all([runKubelet(world), runVolumes(world)])
  const [charts, components] = await Promise.all([packCharts(bench.folder), readComponents()])
  // The control plane is older than most of them want.
  const list = join(bench.folder, 'components-of-any-kubernetes')
  await writeFile(list, withoutLeast(await readFile('deploy/bootstrap/components', 'utf8')))
  const token = bench.cloud.token({ caller: 'ab'.repeat(32) })
  const kubeconfig = cluster.kubeconfig()

  /** Without the preflight, which has tests of its own and takes its time. */
  const install = (args: string[] = [], given: RunOptions = {}) =>
    bench.run(
      'install.sh',
      [token, '--yes', '--offline', charts, '--timeout', '60', '--skip', 'preflight', '--components', list, ...args],
      {
        kubeconfig,
        ...given,
      },
    )
  const uninstall = (args: string[] = [], given: RunOptions = {}) =>
    bench.run('uninstall.sh', ['--yes', '--timeout', '60', ...args], { kubeconfig, ...given })

  /** `name status` of the newest revision of each release. */
  async function releases(): Promise<string[]> {
    const { body } = await http.get('/api/v1/secrets?labelSelector=owner%3Dhelm')
    const newest = new Map<string, { version: number; status: string }>()
    for (const { metadata } of body.items) {
      const { name, version, status } = metadata.labels
      if ((newest.get(name)?.version ?? 0) < Number(version)) newest.set(name, { version: Number(version), status })
    }
    return [...newest].map(([name, { status }]) => `${name} ${status}`).sort()
  }
  const visitor = async () => cluster.kubeconfig(await cluster.serviceAccountToken('default', 'visitor'))

  return {
    ...{ cluster, admin, http, bench, kubelet, charts, components, list, token, kubeconfig, install, uninstall, releases },
    /** The kubeconfig of an account that may do nothing. */
    visitor,
    allDeployed: components.map(({ name }) => `${name} deployed`).sort(),
    deployment: (namespace: string, name: string) => http.get(`/apis/apps/v1/namespaces/${namespace}/deployments/${name}`),
    crd: (name: string) => http.get(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`),
    async close() {
      await Promise.all([kubelet.stop(), volumes.stop()])
      await world.close()
      http.close()
      admin.close()
      await bench.close()
      await cluster.stop()
    },
  }
}

export function succeeded({ code, out, err, log }: Ran): void {
  assert.equal(code, 0, `${out}\n${err}\n${log.slice(-4000)}`)
}

/**
 * Kills the script with all that it started at a step: as soon as it begins, or once `reached` holds, so that helm is in the middle of it.
 * However late that is seen, the script has not left the step when helm works in it: helm does not come back.
 * @param step what stands behind the number
 */
export async function cutAt({ folder }: Bench, step: string, reached?: () => Promise<boolean>): Promise<RunOptions> {
  const tools = join(folder, 'cut')
  await mkdir(tools, { recursive: true })
  const lasting = `#!/bin/sh
'${await installedTool('helm')}' "$@" || exit
case " $* " in *" upgrade ${step} "* | *" uninstall ${step} "*) exec sleep 600 ;; esac
`
  await writeFile(join(tools, 'helm'), lasting, { mode: 0o755 })
  return {
    env: { PATH: `${tools}:${folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin` },
    onLine(line, child) {
      if (!new RegExp(`^\\[\\d+/\\d+\\] ${step}:`).test(line)) return
      const kill = () => {
        try {
          process.kill(-(child.pid as number), 'SIGKILL')
        } catch (error) {
          // It has ended meanwhile.
          if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
        }
      }
      if (!reached) return kill()
      const looking = setInterval(async () => {
        if (!(await reached())) return
        clearInterval(looking)
        kill()
      }, 20)
      child.once('exit', () => clearInterval(looking))
    },
  }
}
