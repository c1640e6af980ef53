import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { createServingCertificate, type ServingCertificate } from '../certificates.ts'
import { createHttp } from '../client/http.ts'
import { freePort } from '../free-port.ts'
import { type Access, clusterAccess } from './access.ts'
import { type Binaries, findBinaries } from './binaries.ts'
import { apiServerArgs, apiServiceAddress, etcdArgs, managerArgs, minorVersion } from './flags.ts'
import { createDaemons, type Daemon, type Daemons, startAsKubelet } from './processes.ts'
import { createSigningKey } from './signing-key.ts'

const startWithinMs = 120_000
/** An API server spends a seventh of its processor time on collecting what it no longer needs; a test has memory to spare. */
const spendingMemory = { ...process.env, GOGC: '400', GOMEMLIMIT: '800MiB' }

/** A control plane of real programs: etcd and kube-apiserver with RBAC; kube-controller-manager once it is started. */
export type ControlPlane = {
  access: Access
  /** Where etcd answers, which trusts everybody. */
  etcdUrl: string
  /** Starts a controller manager, and anew whenever it ends. It knows the kinds that are served at this moment. */
  startManager(): void
  /** Kills it; resolves when it is gone. */
  stopManager(): Promise<void>
  /** Lets etcd and the API server rest, which otherwise take a twentieth of a processor; `proceed` resolves when they answer again. */
  pause(): void
  proceed(): Promise<void>
  /** Kills the API server. The controllers rest until it is back: see `resume`. */
  suspend(): Promise<void>
  /**
   * Brings it back on the same port. Only then the controllers go on: before 1.23, an API server that is starting may say of a custom
   * resource that there is none, and the garbage collector deletes what belongs to it (kubernetes/kubernetes#104342).
   */
  resume(): Promise<void>
  stop(): Promise<void>
}

export type ControlPlaneOptions = { address?: string | undefined; admissionPlugins?: string[] }

/**
 * Starts etcd and an API server; no nodes, no scheduler, and no controller manager yet. They end with `stop()`, and with this process
 * however that ends.
 *
 * @param options as of `startRealCluster`
 */
export async function startControlPlane({ address, admissionPlugins = [] }: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const binaries = findBinaries()
  const certificate = await createServingCertificate('kube-apiserver', address === undefined ? [] : [address, apiServiceAddress])
  for (let attempt = 1; ; attempt++) {
    const daemons = createDaemons()
    try {
      return await startWith(daemons, binaries, { certificate, address, admissionPlugins })
    } catch (error) {
      await daemons.stop()
      // Between finding a free port and listening on it, another process may take it.
      if (attempt === 3 || !String(error).includes('address already in use')) throw error
    }
  }
}

async function startWith(
  daemons: Daemons,
  binaries: Binaries,
  { certificate, address, admissionPlugins = [] }: ControlPlaneOptions & { certificate: ServingCertificate },
): Promise<ControlPlane> {
  const [etcdPort, apiPort] = [await freePort(), await freePort()]
  const access: Access = {
    url: `https://${address ?? '127.0.0.1'}:${apiPort}`,
    ca: certificate.ca,
    adminToken: randomBytes(24).toString('hex'),
  }
  await writeFiles(daemons.folder, certificate, access)

  const etcd = daemons.start('etcd', binaries.etcd, etcdArgs(daemons.folder, etcdPort))
  const apiServerFlags = apiServerArgs(daemons.folder, { apiPort, etcdPort, address }, admissionPlugins)
  const startApiServer = () =>
    startAsKubelet(
      () => daemons.start('kube-apiserver', binaries['kube-apiserver'], apiServerFlags, spendingMemory),
      (started) => untilReady(access, [etcd, started]),
    )
  let apiServer = await startApiServer()
  const minor = await versionOf(binaries['kube-controller-manager'])
  const managerFlags = managerArgs(daemons.folder, { address, minor })
  let manager: Kept | undefined

  return {
    access,
    etcdUrl: `http://127.0.0.1:${etcdPort}`,
    startManager() {
      manager = keepRunning(() => daemons.start('kube-controller-manager', binaries['kube-controller-manager'], managerFlags))
    },
    stopManager: async () => manager?.stop(),
    pause() {
      for (const daemon of [apiServer, etcd]) daemon.pause()
    },
    async proceed() {
      for (const daemon of [etcd, apiServer]) daemon.proceed()
      await untilReady(access, [etcd, apiServer])
    },
    async suspend() {
      manager?.pause()
      await apiServer.kill('SIGKILL') // not SIGTERM: it would keep serving open watches for up to a minute
    },
    async resume() {
      apiServer = await startApiServer()
      manager?.proceed()
    },
    async stop() {
      await manager?.stop()
      await daemons.stop()
    },
  }
}

async function versionOf(manager: string): Promise<number> {
  const { stdout } = await promisify(execFile)(manager, ['--version'])
  return minorVersion(stdout)
}

/** A daemon that is started anew whenever it ends. */
type Kept = Pick<Daemon, 'pause' | 'proceed'> & {
  /** Kills it for good. */
  stop(): Promise<void>
}

/**
 * Starts a daemon, and anew whenever it ends, as a kubelet would: the controller manager exits if the API server is unreachable while it
 * starts.
 */
function keepRunning(start: () => Daemon): Kept {
  const stopping = new AbortController()
  let daemon = start()
  let isPaused = false
  async function keep(): Promise<void> {
    for (;;) {
      await daemon.ended
      await sleep(200, undefined, { signal: stopping.signal }).catch(() => {})
      if (stopping.signal.aborted) return
      daemon = start()
      if (isPaused) daemon.pause()
    }
  }
  const kept = keep()
  return {
    pause() {
      isPaused = true
      daemon.pause()
    },
    proceed() {
      isPaused = false
      daemon.proceed()
    },
    async stop() {
      stopping.abort()
      await daemon.kill('SIGKILL')
      await kept
    },
  }
}

/** The user of a controller manager; admission allows it actions that it refuses to people. */
const managerUser = 'system:kube-controller-manager'

async function writeFiles(folder: string, certificate: ServingCertificate, access: Access): Promise<void> {
  const signing = createSigningKey()
  const managerToken = randomBytes(24).toString('hex')
  const files = {
    'ca.crt': certificate.ca,
    'server.crt': certificate.cert,
    'server.key': certificate.key,
    'sa.pub': signing.publicKey,
    'sa.key': signing.privateKey,
    'tokens.csv': `${access.adminToken},admin,admin,system:masters\n${managerToken},${managerUser},manager,system:masters\n`,
    kubeconfig: clusterAccess(access).kubeconfig(managerToken),
  }
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text, { mode: 0o600 })))
}

/**
 * Resolves when the API server is ready and has finished its delayed work: the system namespaces exist, and its authorizer knows the
 * default roles, so that even an anonymous request can read the version. Rejects with the log of the daemon that ended first.
 */
async function untilReady(access: Access, daemons: Daemon[]): Promise<void> {
  const http = createHttp({ url: access.url, ca: access.ca, token: access.adminToken })
  const deadline = performance.now() + startWithinMs
  let last = 'no answer'
  try {
    for (;;) {
      const dead = daemons.find((daemon) => daemon.exit)
      if (dead) throw new Error(`${dead.name} ended with ${dead.exit?.signal ?? dead.exit?.code}:\n${dead.logTail()}`)
      const waitsFor = await Promise.all([...signsOfLife.map((path) => http.get(path)), http.get('/version', { token: null })]).then(
        (answers) => answers.find((answer) => answer.status !== 200)?.text,
        (error: Error) => error.message,
      )
      if (waitsFor === undefined) return
      last = waitsFor
      if (performance.now() > deadline) {
        const logs = daemons.map((daemon) => `${daemon.name}:\n${daemon.logTail()}`).join('\n')
        throw new Error(`no readiness within ${startWithinMs} ms (${last})\n${logs}`)
      }
      await sleep(50)
    }
  } finally {
    http.close()
  }
}

const namespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease']
const signsOfLife = ['/readyz', ...namespaces.map((name) => `/api/v1/namespaces/${name}`)]
