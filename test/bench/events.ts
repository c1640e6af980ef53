import { createHttp } from '../cluster/index.ts'
import { bundled, startBenchCluster, withRegion } from './clusters.ts'
import { createDatabases, createProject, databaseName, makeOriginal, project } from './databases.ts'
import { held, type Measurement, median, ms, quantile } from './measurement.ts'

const changes = 60
const pauseMs = 25
const atMost = 2

/** From the PATCH of a CrateDB to a subscriber of the agent, beside the API server's own watch. This process reads both. */
export const events: Measurement = {
  name: 'events',
  title: `a change reaches a subscriber in ≤ ${atMost} × the time of the API server's own watch`,
  async measure(bench) {
    const original = await makeOriginal(bench)
    const cluster = await startBenchCluster(bench)
    return withRegion(cluster, bundled(bench), async ({ region, client }) => {
      await createProject(region.admin, original)
      await createDatabases(region.admin, original, { count: 1, alone: true })
      const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
      const path = `/apis/cloud.crate.io/v1/namespaces/project-${project}/cratedbs`
      const ending = new AbortController()
      const watch = await http.watch(`${path}?watch=true`)
      try {
        const [asked, watched, told] = [new Map<string, number>(), new Map<string, number>(), new Map<string, number>()]
        const name = databaseName(0)
        const following = (async () => {
          for await (const { data } of client.events('/v1/events?kinds=database', ending.signal)) {
            const version = JSON.parse(data).object?.version
            if (version !== undefined && !told.has(version)) told.set(version, performance.now())
          }
        })().catch(() => {})
        await new Promise((resolve) => setTimeout(resolve, 500)) // the stream is open
        for (let change = 0; change < changes; change++) {
          bench.tell(`change ${change + 1} of ${changes}`)
          const version = `5.10.${change + 100}`
          asked.set(version, performance.now())
          void http.patch('merge', `${path}/${name}`, { spec: { cluster: { version } } })
          await watch.next(({ object }) => object.spec?.cluster?.version === version)
          watched.set(version, performance.now())
          await new Promise((resolve) => setTimeout(resolve, pauseMs))
        }
        await new Promise((resolve) => setTimeout(resolve, 500))
        ending.abort()
        await following
        const took = (heard: Map<string, number>) => [...asked].slice(10).map(([version, at]) => (heard.get(version) ?? Number.NaN) - at)
        const [ours, theirs] = [took(told), took(watched)]
        if (ours.some(Number.isNaN)) throw new Error('an event did not come')
        return [
          {
            what: 'a change reaches a subscriber, median',
            measured: ms(median(ours)),
            against: `${cluster.kind} API server's watch ${ms(median(theirs))}`,
            ...held(median(ours) / median(theirs), { atMost }),
            numbers: { agentMs: median(ours), watchMs: median(theirs) },
          },
          {
            what: '95th percentile',
            measured: ms(quantile(ours, 0.95)),
            against: `${cluster.kind} API server's watch ${ms(quantile(theirs, 0.95))}`,
            ratio: quantile(ours, 0.95) / quantile(theirs, 0.95),
            numbers: { agentMs: quantile(ours, 0.95), watchMs: quantile(theirs, 0.95) },
          },
        ]
      } finally {
        ending.abort()
        watch.close()
        http.close()
      }
    })
  },
}
