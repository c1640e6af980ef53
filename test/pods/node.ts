import { execFile } from 'node:child_process'
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { builtFolder, createDaemons, createHttp, type Daemon, type Http, startRealCluster, type TestCluster } from '../cluster/index.ts'
import { pauseImage } from './bases.ts'
import { serveNames } from './dns.ts'
import { type Docker, startDocker } from './docker.ts'

const run = promisify(execFile)
const bridge = 'skerry0'
const readyWithinMs = 60_000

/** A cluster of one node, all of it real: control plane, scheduler, kubelet, kube-proxy and containers. */
export type RealNode = {
  name: string
  /** Where the node is reached from its pods, and they from it. */
  address: string
  cluster: TestCluster
  http: Http
  docker: Docker
  /** Lets this process find a name. Pods find the names of Services without. */
  nameAddress(name: string, address: string): Promise<void>
  /** The last lines that kubelet, scheduler and kube-proxy wrote. */
  logTails(): string
  /** @param keepsDocker for another cluster on the same machine: what ran stays until its kubelet ends it, and volumes of the host stay for good */
  stop(given?: { keepsDocker: boolean }): Promise<void>
}

/**
 * Starts it, and resolves when the node is ready. With the Docker of an earlier one, it is another cluster on the same machine. Pods get addresses of a bridge, and reach the API by the address of its Service.
 * @throws Error with what the daemons said, and where it was not started by `npm run test:pods`: it would change this machine's network
 */
export async function startNode({ crds = [], docker: given }: { crds?: string[]; docker?: Docker } = {}): Promise<RealNode> {
  if (process.env.SKERRY_PODS !== 'namespaces') throw new Error('start it with: npm run test:pods')
  const address = '10.89.0.1'
  const name = 'pier-1'
  if (!given) await createBridge(address)
  const [docker, cluster] = await Promise.all([given ?? startDocker({ bridge }), startRealCluster({ crds, address })])
  // The stand-in of the Crate Operator runs no container; its Deployment gets a pod all the same, and that one sleeps.
  await docker.docker('tag', pauseImage, 'crate/crate-operator:2.63.0')
  const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
  const dns = await serveNames(http, address)
  const daemons = createDaemons()
  const folder = daemons.folder
  const kubeconfig = join(folder, 'kubeconfig')
  await writeFile(kubeconfig, cluster.kubeconfig(), { mode: 0o600 })
  await writeFile(join(folder, 'kubelet.json'), JSON.stringify(kubeletConfiguration(address)))
  await mkdir(join(folder, 'plugins'))
  const start = (program: string, args: string[]) => daemons.start(program, join(builtFolder(), program), args)
  const started = [
    start('kubelet', kubeletArguments({ name, address, folder, kubeconfig, socketPath: docker.socketPath })),
    start('kube-scheduler', [`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--port=0', '--secure-port=0']),
    start('kube-proxy', proxyArguments({ name, kubeconfig })),
  ]
  const logTails = () => started.map((daemon) => `${daemon.name}:\n${daemon.logTail()}`).join('\n')
  const self: RealNode = {
    name,
    address,
    cluster,
    http,
    docker,
    nameAddress: (host, at) => appendFile('/etc/hosts', `${at} ${host}\n`),
    logTails,
    async stop({ keepsDocker } = { keepsDocker: false }) {
      dns.close()
      http.close()
      for (const daemon of started.toReversed()) await daemon.kill('SIGKILL')
      await unmountBelow(folder)
      await daemons.stop()
      if (!keepsDocker) await docker.stop()
      await cluster.stop()
    },
  }
  try {
    await untilReady(self, started)
    return self
  } catch (error) {
    await self.stop()
    throw error
  }
}

/** In a network namespace that has nothing else. What is for a Service leaves by the bridge too, were it not for the rules of kube-proxy. */
async function createBridge(address: string): Promise<void> {
  await run('ip', ['link', 'add', bridge, 'type', 'bridge'])
  await run('ip', ['address', 'add', `${address}/16`, 'dev', bridge])
  await run('ip', ['link', 'set', bridge, 'up'])
  await run('ip', ['route', 'add', '10.0.0.0/24', 'dev', bridge])
}

/** What a kubelet has mounted for its pods stays when it goes. */
async function unmountBelow(folder: string): Promise<void> {
  const mounted = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${folder}/`))
  for (const path of mounted.toReversed()) await run('umount', ['--lazy', path])
}

function kubeletConfiguration(address: string): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address,
    clusterDNS: [address],
    clusterDomain: 'cluster.local',
    readOnlyPort: 0,
    healthzPort: 0,
    // Only this namespace reaches it; the API server asks it for logs.
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    cgroupDriver: 'cgroupfs',
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    // The disk of this machine may be as full as it likes.
    evictionHard: {},
    imageGCHighThresholdPercent: 100,
    serializeImagePulls: false,
    syncFrequency: '10s',
  }
}

type Kubelet = { name: string; address: string; folder: string; kubeconfig: string; socketPath: string }

function kubeletArguments({ name, address, folder, kubeconfig, socketPath }: Kubelet): string[] {
  return [
    `--config=${join(folder, 'kubelet.json')}`,
    `--kubeconfig=${kubeconfig}`,
    `--root-dir=${join(folder, 'kubelet')}`,
    `--cert-dir=${join(folder, 'pki')}`,
    `--volume-plugin-dir=${join(folder, 'plugins')}`,
    '--container-runtime=docker',
    `--docker-endpoint=unix://${socketPath}`,
    '--network-plugin=', // docker's own bridge
    `--pod-infra-container-image=${pauseImage}`,
    `--hostname-override=${name}`,
    `--node-ip=${address}`,
  ]
}

function proxyArguments({ name, kubeconfig }: { name: string; kubeconfig: string }): string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    `--hostname-override=${name}`,
    '--proxy-mode=iptables',
    '--cluster-cidr=10.89.0.0/16',
    '--healthz-bind-address=127.0.0.1:10256', // nobody else is in this network
    // Limits of the kernel are this machine's.
    '--conntrack-max-per-core=0',
    '--conntrack-tcp-timeout-established=0',
    '--conntrack-tcp-timeout-close-wait=0',
  ]
}

async function untilReady({ http, name, logTails }: RealNode, daemons: Daemon[]): Promise<void> {
  for (const deadline = performance.now() + readyWithinMs; ; await sleep(200)) {
    const { body } = await http.get(`/api/v1/nodes/${name}`)
    const ready = body?.status?.conditions?.find(({ type }: { type: string }) => type === 'Ready')
    const tainted = body?.spec?.taints?.length > 0
    if (ready?.status === 'True' && !tainted) return
    const ended = daemons.find(({ exit }) => exit)
    if (ended) throw new Error(`${ended.name} ended:\n${ended.logTail()}`)
    if (performance.now() > deadline) throw new Error(`no node within ${readyWithinMs} ms (${ready?.message}):\n${logTails()}`)
  }
}
