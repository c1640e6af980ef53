import { createHttp } from '../cluster/http.ts'
import { bundled, startBenchCluster, withRegion } from './clusters.ts'
import { createDatabases, createProject, databaseName, makeOriginal, project } from './databases.ts'
import { type Measurement, median, ms, quantile } from './measurement.ts'

const changes = 60
const pauseMs = 25
const budgetMs = 5

/** From the API server's own watch to a subscriber of the agent, both read by this process. */
export const events: Measurement = {
  name: 'events',
  title: `a change reaches a subscriber ≤ ${budgetMs} ms after the API server's own watch delivers it`,
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
        const [watched, told] = [new Map<string, number>(), new Map<string, number>()]
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
          void http.patch('merge', `${path}/${name}`, { spec: { cluster: { version } } })
          await watch.next(({ object }) => object.spec?.cluster?.version === version)
          watched.set(version, performance.now())
          await new Promise((resolve) => setTimeout(resolve, pauseMs))
        }
        await new Promise((resolve) => setTimeout(resolve, 500))
        ending.abort()
        await following
        const lags = [...watched].slice(10).map(([version, at]) => (told.get(version) ?? Number.NaN) - at)
        if (lags.some(Number.isNaN)) throw new Error('an event did not come')
        const lag = median(lags)
        return [
          {
            what: 'event after the watch, median',
            measured: ms(lag),
            against: `watch of the ${cluster.kind} API server`,
            budget: { text: `≤ ${budgetMs} ms`, met: lag <= budgetMs },
            numbers: { lagMs: lag },
          },
          { what: '95th percentile', measured: ms(quantile(lags, 0.95)), numbers: { lagMs: quantile(lags, 0.95) } },
        ]
      } finally {
        ending.abort()
        watch.close()
        http.close()
      }
    })
  },
}
