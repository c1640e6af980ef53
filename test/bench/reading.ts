import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { createHttp, startEmbeddedCluster, type TestCluster } from '../cluster/index.ts'
import { bundled, startBenchCluster, withRegion } from './clusters.ts'
import { createDatabases, createProject, databaseName, makeOriginal, project } from './databases.ts'
import { fetchBytes } from './fetch-bytes.ts'
import { startLoad } from './load.ts'
import { type Bench, type Finding, type Measurement, median, perSecond, sideBySide } from './measurement.ts'
import { processFacts } from './proc.ts'

const budget = 2
const connections = 32
const roundMs = 1_500

/** Reads of one database with every check on, beside the API server's GET of the same CrateDB from its watch cache. */
export const reading: Measurement = {
  name: 'read',
  title: `reading one database ≥ ${budget} × the rate of the API server's own cached GET, ${connections} kept connections each`,
  async measure(bench) {
    const original = await makeOriginal(bench)
    const cluster = await startBenchCluster(bench)
    try {
      // The agent has a region of its own: in a real cluster its pods, which no node runs, would not last.
      return await withRegion(await startEmbeddedCluster(), bundled(bench), async ({ region, agent }) => {
        await createProject(region.admin, original)
        await createDatabases(region.admin, original, { count: 1 })
        const database = await region.admin.request<KubernetesObject>({ method: 'GET', path: serverPath })
        await copyTo(cluster, database)
        await new Promise((resolve) => setTimeout(resolve, 500)) // the agent's watch has it
        return compare(bench, cluster, { url: agent.url, ca: region.ca, token: region.token, pid: agent.pid })
      })
    } finally {
      await cluster.stop()
    }
  },
}

const agentPath = `/v1/projects/${project}/databases/${databaseName(0)}`
const collection = `/apis/cloud.crate.io/v1/namespaces/project-${project}/cratedbs`
const serverPath = `${collection}/${databaseName(0)}`

async function compare(bench: Bench, cluster: TestCluster, ours: Server & { pid: number }): Promise<Finding[]> {
  const theirs = { url: cluster.url, ca: cluster.ca, token: cluster.adminToken }
  // From memory, where etcd would be asked otherwise.
  const cached = `${serverPath}?resourceVersion=0`
  const [agentBytes, serverBytes] = [await bytesOf(ours, agentPath), await bytesOf(theirs, cached)]
  const loads = [loadOn(ours, agentPath), loadOn(theirs, cached)] as const
  /** Requests in a second, and the agent's own CPU time for each, which a busy machine changes less. */
  const readAgent = async () => {
    const before = processFacts(ours.pid).cpuMs
    const { perSecond } = await loads[0].run(roundMs)
    return { perSecond, cpuUs: ((processFacts(ours.pid).cpuMs - before) * 1000) / (perSecond * (roundMs / 1000)) }
  }
  try {
    bench.tell(`${agentBytes} bytes to ${connections} connections`)
    const { one, other } = await sideBySide({ rounds: 7, warmUp: 2 }, readAgent, () => loads[1].run(roundMs))
    const [agentRate, serverRate] = [median(one.map((each) => each.perSecond)), median(other.map((each) => each.perSecond))]
    const cpuUs = median(one.map((each) => each.cpuUs))
    return [
      {
        what: `reads of one database, ${agentBytes} bytes`,
        measured: perSecond(agentRate),
        against: `${cluster.kind} API server ${perSecond(serverRate)}, ${serverBytes} bytes`,
        ratio: agentRate / serverRate,
        budget: { text: `≥ ${budget} ×`, met: agentRate / serverRate >= budget },
        numbers: { agentPerSecond: agentRate, serverPerSecond: serverRate },
      },
      { what: "the agent's CPU time for one", measured: `${cpuUs.toFixed(0)} µs`, numbers: { agentUs: cpuUs } },
    ]
  } finally {
    for (const load of loads) load.stop()
  }
}

/** The same CrateDB in another cluster. */
async function copyTo(cluster: TestCluster, { metadata, ...rest }: KubernetesObject): Promise<void> {
  const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
  const { name, namespace, labels, annotations } = metadata
  await http.post('/api/v1/namespaces', { metadata: { name: namespace } })
  const { status, text } = await http.post(collection, { ...rest, metadata: { name, labels, annotations } })
  http.close()
  if (status !== 201) throw new Error(`POST ${collection}: ${status} ${text}`)
}

type Server = { url: string; ca: string; token: string }

function loadOn({ url, ca, token }: Server, path: string): ReturnType<typeof startLoad> {
  const { hostname: host, port } = new URL(url)
  const headers = { authorization: `Bearer ${token}`, accept: 'application/json' }
  return startLoad({ host, port: Number(port), ca, path, headers, connections })
}

async function bytesOf(server: Server, path: string): Promise<number> {
  const client = fetchBytes(server)
  const { bytes } = await client.get(path)
  client.close()
  return bytes.byteLength
}
