import { createHttp } from '../cluster/index.ts'
import { bundled, startBenchCluster, withRegion } from './clusters.ts'
import { createDatabases, createProject, databaseName, makeOriginal, project } from './databases.ts'
import { fetchBytes } from './fetch-bytes.ts'
import { type Measurement, median, ms, sideBySide } from './measurement.ts'

const many = 1000
const budget = 20

/** The same databases from the agent and from the API server, which both have them in memory. */
export const listing: Measurement = {
  name: 'list',
  title: `listing ${many.toLocaleString('en')} databases ≥ ${budget} × faster than from the API server's own cache`,
  async measure(bench) {
    const original = await makeOriginal(bench)
    const cluster = await startBenchCluster(bench)
    return withRegion(cluster, bundled(bench), async ({ region, agent }) => {
      bench.tell(`creating ${many} databases`)
      await createProject(region.admin, original)
      await createDatabases(region.admin, original, { count: many, alone: true })
      const path = `/apis/cloud.crate.io/v1/namespaces/project-${project}/cratedbs`
      const ours = fetchBytes({ url: agent.url, ca: region.ca, token: region.token })
      const theirs = fetchBytes({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
      const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
      const list = () => ours.get(`/v1/projects/${project}/databases?limit=${many}`)
      try {
        const check = JSON.parse((await list()).bytes.toString())
        if (check.items.length !== many) throw new Error(`the agent lists ${check.items.length} databases`)
        const { one, other } = await sideBySide({ rounds: 25, warmUp: 3 }, list, () => theirs.get(`${path}?resourceVersion=0`))
        const changed: number[] = []
        for (let round = 0; round < 15; round++) {
          const patch = { status: { crateDBStatus: { health: round % 2 === 0 ? 'YELLOW' : 'GREEN' } } }
          await http.patch('merge', `${path}/${databaseName(round)}`, patch)
          await new Promise((resolve) => setTimeout(resolve, 20)) // the watch brings it in 2 ms
          changed.push((await list()).ms)
        }
        const [agentMs, serverMs] = [median(one.map((answer) => answer.ms)), median(other.map((answer) => answer.ms))]
        const size = (answers: { bytes: Buffer }[]) => `${((answers[0]?.bytes.byteLength ?? 0) / 1e6).toFixed(1)} MB`
        return [
          {
            what: `list of ${many.toLocaleString('en')}, ${size(one)}`,
            measured: ms(agentMs),
            against: `${cluster.kind} API server ${ms(serverMs)}, ${size(other)}`,
            ratio: serverMs / agentMs,
            budget: { text: `≥ ${budget} ×`, met: serverMs / agentMs >= budget },
            numbers: { agentMs, serverMs },
          },
          {
            what: 'the same, one of them just changed',
            measured: ms(median(changed)),
            ratio: serverMs / median(changed),
            numbers: { agentMs: median(changed), serverMs },
          },
        ]
      } finally {
        for (const client of [ours, theirs, http]) client.close()
      }
    })
  },
}
