import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { createHttp, startStandIns } from '../cluster/index.ts'
import { bundled, startBenchCluster, withRegion } from './clusters.ts'
import { databaseBody, project, until } from './databases.ts'
import { held, type Measurement, median, ms, quantile, sideBySide, timed } from './measurement.ts'

const atMost = 3

/** The PUT of a new database until it is durably accepted, beside a direct create of the same CrateDB. */
export const accepting: Measurement = {
  name: 'accept',
  title: `accepting a request ≤ ${atMost} × one direct create of the same CrateDB at the same API server`,
  async measure(bench) {
    const cluster = await startBenchCluster(bench)
    const prepare = async () => {
      // Requests are checked against nodes and storage classes. Nothing acts on the databases: only the acceptance counts.
      const standIns = await startStandIns(cluster, { pods: false })
      await standIns.stop()
    }
    return withRegion(cluster, { prepare, ...bundled(bench) }, async ({ region, client }) => {
      const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
      const at = '/apis/cloud.crate.io/v1/namespaces/default/cratedbs'
      const put = async (id: string) => {
        const path = `/v1/projects/${project}/databases/${id}`
        const { status, text, body } = await client.call('PUT', path, { body: databaseBody(id) })
        if (status !== 202) throw new Error(`PUT ${path}: ${status} ${text}`)
        return body.id as string
      }
      /** Waits until the executor has done its own writes, which would otherwise fall into the next round. */
      const atRest = (id: string) => until(async () => (await client.call('GET', `/v1/operations/${id}`)).body.phase === 'Waiting')
      try {
        const made = await client.call('PUT', `/v1/projects/${project}`, { body: { quota: {} }, headers: { prefer: 'wait=30' } })
        if (made.status !== 200) throw new Error(`the project was not created: ${made.text}`)
        await atRest(await put('original'))
        const path = `/apis/cloud.crate.io/v1/namespaces/project-${project}/cratedbs/original`
        const { apiVersion, kind, metadata, spec } = await region.admin.request<KubernetesObject>({ method: 'GET', path })
        const copy = (name: string) => {
          const { labels, annotations } = metadata
          return { apiVersion, kind, metadata: { name, labels, annotations }, spec }
        }
        const { one, other } = await sideBySide(
          { rounds: 60, warmUp: 40 },
          async (round) => {
            bench.tell(`round ${round}`)
            let id = ''
            const took = await timed(async () => {
              id = await put(`gauge-${round}`)
            })
            await atRest(id)
            return took
          },
          (round) =>
            timed(async () => {
              const { status, text } = await http.post(at, copy(`gauge-${round}`))
              if (status !== 201) throw new Error(`create: ${status} ${text}`)
            }),
        )
        const [accept, create] = [median(one), median(other)]
        return [
          {
            what: 'PUT of a new database, median',
            measured: ms(accept),
            against: `direct create ${ms(create)}`,
            ...held(accept / create, { atMost }),
            numbers: { acceptMs: accept, createMs: create },
          },
          {
            what: '95th percentile',
            measured: ms(quantile(one, 0.95)),
            against: `direct create ${ms(quantile(other, 0.95))}`,
            ratio: quantile(one, 0.95) / quantile(other, 0.95),
            numbers: { acceptMs: quantile(one, 0.95), createMs: quantile(other, 0.95) },
          },
        ]
      } finally {
        http.close()
      }
    })
  },
}
