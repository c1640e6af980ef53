import { nodeArguments } from '../../deploy/node-arguments.ts'
import { findBinaries, startEmbeddedCluster, startRealCluster, type TestCluster } from '../cluster/index.ts'
import type { AgentProcess } from '../region/agent-process.ts'
import { type Client, createClient } from '../region/client.ts'
import { regionDefinitions } from '../region/definitions.ts'
import { prepareRegion, type Region, type StartOptions } from '../region/index.ts'
import type { Bench } from './measurement.ts'

/** The real control plane. If its programs are not built, the embedded one, and a note that says so. */
export async function startBenchCluster({ tell, note }: Pick<Bench, 'tell' | 'note'>): Promise<TestCluster> {
  try {
    findBinaries()
  } catch (error) {
    note(`On the embedded control plane, which is no measure for a real one. ${(error as Error).message}`)
    return startEmbeddedCluster()
  }
  tell('starting etcd, kube-apiserver and kube-controller-manager')
  return startRealCluster({ crds: regionDefinitions() })
}

/** A region with an agent in it, and a client of each. */
export type BenchRegion = { region: Region; agent: AgentProcess; client: Client }

/** Every check is on, but the rate limit never applies: one client here sends as many requests as a hundred callers. */
const limits = { requestsPerSecond: 1_000_000, burst: 1_000_000 }

/** The bundle, run as the image runs it. */
export function bundled({ bundle }: Pick<Bench, 'bundle'>): StartOptions {
  return { program: bundle, nodeArguments: nodeArguments.agent }
}

/** Runs `work` in a region on that cluster, and stops everything afterwards. */
export async function withRegion<T>(
  cluster: TestCluster,
  { prepare, ...options }: { prepare?: (region: Region) => Promise<void> } & StartOptions,
  work: (region: BenchRegion) => Promise<T>,
): Promise<T> {
  try {
    const region = await prepareRegion(cluster, { config: { api: { limits } } })
    try {
      await prepare?.(region)
      const agent = await region.startAgent(options)
      const client = createClient({ url: agent.url, ca: region.ca, token: region.token })
      try {
        return await work({ region, agent, client })
      } finally {
        client.close()
      }
    } finally {
      await region.close()
    }
  } finally {
    await cluster.stop()
  }
}
