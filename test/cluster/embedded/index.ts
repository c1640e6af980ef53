import { setTimeout as sleep } from 'node:timers/promises'
import { parseAllDocuments, stringify } from 'yaml'
import { createServingCertificate, type ServingCertificate } from '../certificates.ts'
import type { TestCluster } from '../test-cluster.ts'
import { furnishCluster } from './bootstrap.ts'
import { runDefinitionController, standIn } from './controllers.ts'
import { type Core, createLookup } from './core.ts'
import { establishDefinitions } from './crd.ts'
import { FaultPlan } from './faults.ts'
import { runGarbageCollector } from './garbage.ts'
import { tokenFor } from './handlers.ts'
import { builtInTypes } from './kinds.ts'
import { limitRangeAdmission } from './limit-ranges.ts'
import { namespaceAdmission, runNamespaceController } from './namespaces.ts'
import type { Json } from './object.ts'
import { runQuotas } from './quotas.ts'
import { Rbac } from './rbac.ts'
import { Registry } from './resources.ts'
import { ApiServer } from './server.ts'
import { Store } from './store.ts'
import { Tokens } from './tokens.ts'
import { runVolumeProtection, volumeProtection } from './volume-protection.ts'
import { Watches } from './watches.ts'
import { WorkQueue } from './work-queue.ts'
import { createObject } from './writes.ts'

/** Options of an embedded API server. */
export type EmbeddedOptions = {
  /** YAML texts with the objects to create at the start: CRDs, and any other cluster-scoped objects. */
  crds?: string[]
  /** By default, any free port. */
  port?: number
  /** Interval of the bookmarks of a watch that requests them, in milliseconds. */
  bookmarkMs?: number
  /** Changes per resource that are kept for watches and paged lists. */
  history?: number
}

/** All embedded clusters of a process share one certificate: creating it takes longer than the rest of a start. */
let servingCertificate: Promise<ServingCertificate> | undefined

/** Starts a Kubernetes API server in this process, with the controllers that the API itself depends on: namespaces, quotas, garbage collection. */
export async function startEmbeddedCluster({
  crds = [],
  port = 0,
  bookmarkMs = 1000,
  history = 4096,
}: EmbeddedOptions = {}): Promise<TestCluster> {
  servingCertificate ??= createServingCertificate()
  const certificates = await servingCertificate
  const store = new Store(history)
  const core: Core = { store, registry: new Registry(), lookup: createLookup(store), mutating: [], validating: [] }
  core.registry.add(builtInTypes())
  const rbac = new Rbac(core)
  core.mutating.push(namespaceAdmission(core), limitRangeAdmission(core), volumeProtection)
  core.validating.push(rbac.admission)

  const queue = new WorkQueue()
  const watches = new Watches(core, bookmarkMs)
  establishDefinitions(core, (bucket) => watches.endAll((type) => type.bucket === bucket))
  runDefinitionController(core, queue)
  runNamespaceController(core, queue, certificates.ca)
  runGarbageCollector(core, queue)
  runQuotas(core, queue)
  runVolumeProtection(core, queue)
  furnishCluster(core)
  for (const document of crds.flatMap(documentsOf)) createFirst(core, document)

  const tokens = new Tokens(core)
  const faults = new FaultPlan()
  const services = { core, rbac, tokens }
  const server = new ApiServer(services, watches, faults, certificates)
  const url = `https://127.0.0.1:${await server.listen(port)}`

  return {
    kind: 'embedded',
    url,
    ca: certificates.ca,
    adminToken: tokens.admin,
    kubeconfig: (token = tokens.admin) => kubeconfig(url, certificates.ca, token),
    serviceAccountToken: async (namespace, name) => tokenFor(services, namespace, name),
    faults: {
      set: (settings) => faults.set(settings),
      clear: () => faults.clear(),
      dropWatches: () => watches.cutAll(),
      compact: () => store.compact(),
    },
    suspend: async () => {
      await server.close()
      // A client in this process must notice before the port opens again; otherwise it would use a dead connection.
      await sleep(20)
    },
    resume: async () => void (await server.listen(port)),
    stop: async () => {
      queue.stop()
      watches.stop()
      await server.close()
    },
  }
}

const parsed = new Map<string, (Json | null)[]>()

/** The documents of a YAML text, parsed once per process: most tests start their clusters with the same ones. */
function documentsOf(text: string): (Json | null)[] {
  const known = parsed.get(text) ?? parseAllDocuments(text).map((document) => document.toJS())
  parsed.set(text, known)
  return structuredClone(known)
}

function createFirst(core: Core, document: { apiVersion?: string; kind?: string } | null): void {
  if (!document) return
  const type = core.registry.findKind(document.apiVersion ?? '', document.kind ?? '')
  if (!type) throw new Error(`no kind ${document.kind} in ${document.apiVersion} to start the cluster with`)
  createObject(core, type, undefined, document, standIn('kube-apiserver'))
}

function kubeconfig(server: string, ca: string, token: string): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'embedded', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: 'user', user: { token } }],
    contexts: [{ name: 'embedded', context: { cluster: 'embedded', user: 'user' } }],
    'current-context': 'embedded',
  })
}
