import { after } from 'node:test'
import { createProjectController } from '../../../agent/controllers/projects.ts'
import { type Caches, createCaches } from '../../../agent/region/caches.ts'
import { createObstacles } from '../../../agent/region/obstacles/index.ts'
import { type Clock, systemClock } from '../../../shared/clock.ts'
import { applyObject } from '../../../shared/kubernetes/apply.ts'
import type { Cluster, ClusterRequest } from '../../../shared/kubernetes/connection.ts'
import type { Leadership, Lease } from '../../../shared/kubernetes/lease.ts'
import { type KubernetesObject, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import { createLog } from '../../../shared/log.ts'
import { startCluster, type TestCluster, until } from '../../cluster/index.ts'
import { regionDefinitions } from '../../region/definitions.ts'
import { prepareRegion } from '../../region/index.ts'
import { connectTo } from '../../shared/kubernetes/connected.ts'

/** A lease that a test gives and takes. */
export type LeaseInHand = Leadership & Pick<Lease, 'standing'> & { set(leads: boolean): void }

export function leaseInHand(leads = true): LeaseInHand {
  const listeners = new Set<(leads: boolean) => void>()
  return {
    isLeader: () => leads,
    standing: () => ({ namespace: 'skerry', name: 'skerry-agent', holder: 'agent', state: 'leads', trouble: undefined }),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    set(now) {
      leads = now
      for (const listener of listeners) listener(now)
    },
  }
}

/** A region whose controllers run by the agent's own account, with the permissions that the product ships. */
export type ControlledRegion = {
  testCluster: TestCluster
  namespace: string
  /** The administrator's connection. */
  admin: Cluster
  /** The agent's connection. */
  cluster: Cluster
  /** Every request of the agent since the last `forget()`. */
  requests: ClusterRequest[]
  forget(): void
  /** Called before each request of the agent; what it throws is what the agent gets. */
  interfere: ((request: ClusterRequest) => void) | undefined
  make(object: KubernetesObject): Promise<KubernetesObject>
  remove(object: KubernetesObject): Promise<void>
  read(object: KubernetesObject): Promise<KubernetesObject | undefined>
  /** Merges into an object. */
  patch(object: KubernetesObject, change: unknown): Promise<void>
  /** Starts a project controller with caches of its own. `stop` may be called more than once. */
  startProjects(lease?: Leadership, clock?: Clock): Promise<Part & { caches: Caches }>
  /** Waits until the project's condition has this reason; resolves with the project. */
  whenReason(project: string, reason: string): Promise<KubernetesObject>
}

export const log = createLog({ level: 'silent', name: 'test' })

/** Starts the cluster that `SKERRY_CLUSTER` names, or another one, and stops it after the last test of the calling file. */
export async function startControlledRegion(start: typeof startCluster = startCluster): Promise<ControlledRegion> {
  const testCluster = await start({ crds: regionDefinitions() })
  const allowedLabels = ['cost-centre', 'tide']
  const installed = await prepareRegion(testCluster, { config: { metadata: { labels: allowedLabels } } })
  const { admin, namespace } = installed
  const account = connectTo(testCluster, await testCluster.serviceAccountToken(namespace, 'skerry-agent'))
  const stops: (() => Promise<void>)[] = []
  after(async () => {
    for (const stop of stops) await stop()
    account.close()
    await installed.close()
    await testCluster.stop()
  })

  const read = async (object: KubernetesObject) =>
    admin.request<KubernetesObject>({ method: 'GET', path: pathOfObject(object) }).catch(() => undefined)

  const region: ControlledRegion = {
    testCluster,
    namespace,
    admin,
    requests: [],
    forget: () => void region.requests.splice(0),
    interfere: undefined,
    cluster: {
      ...account,
      async request(request) {
        region.requests.push(request)
        region.interfere?.(request)
        return account.request(request)
      },
    },
    make: (object) => applyObject(admin, object, { fieldManager: 'test', force: true }),
    async remove(object) {
      await admin.request({ method: 'DELETE', path: pathOfObject(object) })
    },
    read,
    async patch(object, body) {
      await admin.request({ method: 'PATCH', path: pathOfObject(object), contentType: 'application/merge-patch+json', body })
    },
    async startProjects(lease = leaseInHand(), clock = systemClock) {
      const { cluster } = region
      const caches = createCaches({ namespace }, { cluster, clock, log })
      const followed = [caches.projects, caches.databases, caches.retained]
      await Promise.all(followed.map((cache) => cache.start(new AbortController().signal)))
      const operator = { namespace: 'crate-operator', name: 'crate-operator' }
      const obstacles = createObstacles({ cluster, caches, clock, config: { namespace, operator } })
      const network = { operatorNamespace: operator.namespace, scrapeNamespaces: ['monitoring'] }
      const accounts = { agent: 'skerry-agent', monitor: 'skerry-monitor' }
      const config = { namespace, network, accounts, allowedLabels, parallelism: 4, recheckMs: 200 }
      const { stop: stopController, ...controller } = createProjectController(config, { cluster, caches, lease, obstacles, clock, log })
      await controller.start(new AbortController().signal)
      let stopped = false
      const stop = async () => {
        if (stopped) return
        stopped = true
        await stopController(0)
        await Promise.all(followed.map((cache) => cache.stop(0)))
      }
      stops.push(stop)
      return { ...controller, stop, caches }
    },
    whenReason: (name, reason) =>
      until(
        `project ${name} is ${reason}`,
        async () => {
          const project = await read(projectNamed(name))
          return readyOf(project)?.reason === reason && project
          // A real control plane looks for new kinds to count every 30 seconds, and a quota is not counted before.
        },
        60_000,
      ),
  }
  return region
}

export const projectNamed = (name: string, spec: object = {}): KubernetesObject => ({
  apiVersion: 'skerry.dev/v1',
  kind: 'Project',
  metadata: { name },
  spec,
})

export const namespaceNamed = (name: string): KubernetesObject => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })

type Ready = { type: string; status: string; reason: string; message: string; lastTransitionTime: string; observedGeneration: number }

/** The condition Ready. */
export function readyOf(object: KubernetesObject | undefined): Ready | undefined {
  return (object?.status?.conditions as Ready[] | undefined)?.find(({ type }) => type === 'Ready')
}
