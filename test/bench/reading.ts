import { createServingCertificate, startEmbeddedCluster } from '../cluster/index.ts'
import { startBareHono } from './bare-hono.ts'
import { bundled, withRegion } from './clusters.ts'
import { createDatabases, createProject, databaseName, makeOriginal, project } from './databases.ts'
import { fetchBytes } from './fetch-bytes.ts'
import { startLoad } from './load.ts'
import { type Measurement, median, perSecond, sideBySide } from './measurement.ts'
import { processFacts } from './proc.ts'

const budget = 0.7
const connections = 32
const roundMs = 1_500

/** Reads of one database with every check on, beside a handler that only sends the same bytes. */
export const reading: Measurement = {
  name: 'read',
  title: `reading one database ≥ ${budget} × the rate of a bare hono handler that sends the same bytes over TLS`,
  async measure(bench) {
    const original = await makeOriginal(bench)
    return withRegion(await startEmbeddedCluster(), bundled(bench), async ({ region, agent }) => {
      await createProject(region.admin, original)
      await createDatabases(region.admin, original, { count: 1 })
      const path = `/v1/projects/${project}/databases/${databaseName(0)}`
      const client = fetchBytes({ url: agent.url, ca: region.ca, token: region.token })
      await new Promise((resolve) => setTimeout(resolve, 500))
      const { bytes } = await client.get(path)
      client.close()
      const { ca, cert, key } = await createServingCertificate()
      const bare = await startBareHono({ cert, key, body: bytes.toString() })
      const headers = { authorization: `Bearer ${region.token}`, accept: 'application/json' }
      const toward = { host: '127.0.0.1', path, headers, connections }
      const loads = [
        startLoad({ ...toward, port: Number(new URL(agent.url).port), ca: region.ca }),
        startLoad({ ...toward, port: bare.port, ca }),
      ] as const
      /** Requests in a second, and the server's own CPU time for each, which a busy machine changes less. */
      const round = async (load: (typeof loads)[number], pid: number) => {
        const before = processFacts(pid).cpuMs
        const { perSecond } = await load.run(roundMs)
        return { perSecond, cpuUs: ((processFacts(pid).cpuMs - before) * 1000) / (perSecond * (roundMs / 1000)) }
      }
      try {
        bench.tell(`${bytes.byteLength} bytes to ${connections} connections`)
        const { one, other } = await sideBySide(
          { rounds: 7, warmUp: 2 },
          () => round(loads[0], agent.pid),
          () => round(loads[1], bare.pid),
        )
        const [ours, theirs] = [median(one.map((each) => each.perSecond)), median(other.map((each) => each.perSecond))]
        const [oursUs, theirsUs] = [median(one.map(({ cpuUs }) => cpuUs)), median(other.map(({ cpuUs }) => cpuUs))]
        return [
          {
            what: `reads of one database, ${bytes.byteLength} bytes`,
            measured: perSecond(ours),
            against: `bare hono ${perSecond(theirs)}`,
            ratio: ours / theirs,
            budget: { text: `≥ ${budget} ×`, met: ours / theirs >= budget },
            numbers: { agentPerSecond: ours, barePerSecond: theirs },
          },
          {
            what: "the server's CPU time for one",
            measured: `${oursUs.toFixed(0)} µs`,
            against: `bare hono ${theirsUs.toFixed(0)} µs`,
            ratio: theirsUs / oursUs,
            numbers: { agentUs: oursUs, bareUs: theirsUs },
          },
        ]
      } finally {
        for (const process of [...loads, bare]) process.stop()
      }
    })
  },
}
