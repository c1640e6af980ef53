import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import { createServingCertificate, type ServingCertificate } from '../certificates.ts'
import { createHttp } from '../client/http.ts'
import { isDiscovered } from '../discovered.ts'
import { freePort } from '../free-port.ts'
import type { TestCluster } from '../test-cluster.ts'
import { type Access, clusterAccess } from './access.ts'
import { type Binaries, findBinaries } from './binaries.ts'
import { admissionPluginsOf, apiServerArgs, apiServiceAddress, etcdArgs, managerArgs, minorVersion } from './flags.ts'
import { createDaemons, type Daemon, type Daemons, startAsKubelet } from './processes.ts'
import { createSigningKey } from './signing-key.ts'

const startWithinMs = 120_000

export type RealClusterOptions = { crds?: string[]; address?: string; admissionPlugins?: string[] }

type ControlPlaneOptions = { certificate: ServingCertificate; crds: string[]; address: string | undefined; admissionPlugins: string[] }

/**
 * A control plane of real programs: etcd, kube-apiserver with RBAC, kube-controller-manager; no nodes and no scheduler.
 * They end with `stop()`, and with the test process however that ends.
 *
 * `SKERRY_KUBECONFIG` names a cluster to use instead. Tests write to it, but never suspend or stop it.
 *
 * @param options `crds`: YAML of CRDs that are created before the controller manager starts. `address`: where nodes and pods reach the
 * API server, which then listens there instead of on loopback; pods then get the tokens of their accounts. `admissionPlugins`: names of
 * plugins to turn on; those of `SKERRY_ADMISSION_PLUGINS` if left out.
 */
export async function startRealCluster(options: RealClusterOptions = {}): Promise<TestCluster> {
  const { crds = [], address, admissionPlugins = admissionPluginsOf(process.env) } = options
  if (process.env.SKERRY_KUBECONFIG) return useGivenCluster(process.env.SKERRY_KUBECONFIG)
  const binaries = findBinaries()
  const certificate = await createServingCertificate('kube-apiserver', address === undefined ? [] : [address, apiServiceAddress])
  for (let attempt = 1; ; attempt++) {
    const daemons = createDaemons()
    try {
      return await startControlPlane(daemons, binaries, { certificate, crds, address, admissionPlugins })
    } catch (error) {
      await daemons.stop()
      // Between finding a free port and listening on it, another process may take it.
      if (attempt === 3 || !String(error).includes('address already in use')) throw error
    }
  }
}

/** Uses an existing cluster, with the permissions of the current context of a kubeconfig, which must be an administrator's. */
export async function useGivenCluster(kubeconfigPath: string): Promise<TestCluster> {
  const given = await import('./given.ts') // on demand, since its Kubernetes client takes half a second to load
  return given.useGivenCluster(kubeconfigPath)
}

async function startControlPlane(
  daemons: Daemons,
  binaries: Binaries,
  { certificate, crds, address, admissionPlugins }: ControlPlaneOptions,
): Promise<TestCluster> {
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
      () => daemons.start('kube-apiserver', binaries['kube-apiserver'], apiServerFlags),
      (started) => untilReady(access, [etcd, started]),
    )
  let apiServer = await startApiServer()
  const { stdout: printed } = await promisify(execFile)(binaries['kube-controller-manager'], ['--version'])
  const managerFlags = managerArgs(daemons.folder, { address, minor: minorVersion(printed) })
  const startManager = () => daemons.start('kube-controller-manager', binaries['kube-controller-manager'], managerFlags)
  await define(access, crds)
  const manager = startManager()
  const keeper = keepRunning(manager, startManager)

  return {
    kind: 'real',
    ...clusterAccess(access),
    faults: undefined,
    // Not SIGTERM: it would keep serving open watches for up to a minute.
    suspend: () => apiServer.kill('SIGKILL'),
    async resume() {
      apiServer = await startApiServer()
    },
    async stop() {
      keeper.release()
      await daemons.stop()
      await keeper.released
    },
  }
}

/** Creates the CRDs and waits until their kinds are discovered: a controller manager notices later ones only after half a minute. */
async function define(access: Access, crds: string[]): Promise<void> {
  const http = createHttp({ url: access.url, ca: access.ca, token: access.adminToken })
  const definitions = crds.flatMap((text) => parseAllDocuments(text)).map((document) => document.toJS())
  try {
    for (const definition of definitions) {
      const { status, text } = await http.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definition)
      if (status !== 201) throw new Error(`a definition was not accepted: ${text}`)
    }
    const get = async (path: string) => {
      const { status, body } = await http.get(path)
      return status === 200 ? body : undefined
    }
    for (const definition of definitions) {
      for (const deadline = performance.now() + startWithinMs; !(await isDiscovered(get, definition)); await sleep(50)) {
        if (performance.now() > deadline) throw new Error(`${definition.metadata.name} is not discovered`)
      }
    }
  } finally {
    http.close()
  }
}

/** Restarts a daemon whenever it ends, as a kubelet would: the controller manager exits if the API server is unreachable while it starts. */
function keepRunning(first: Daemon, start: () => Daemon): { release(): void; released: Promise<void> } {
  const stopping = new AbortController()
  async function keep(): Promise<void> {
    for (let daemon = first; ; daemon = start()) {
      await daemon.ended
      await sleep(200, undefined, { signal: stopping.signal }).catch(() => {})
      if (stopping.signal.aborted) return
    }
  }
  return { release: () => stopping.abort(), released: keep() }
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
