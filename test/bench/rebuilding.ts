import { kinds } from '../../shared/kubernetes/objects.ts'
import { listObjects } from '../../shared/kubernetes/read.ts'
import { importableDatabase, importableFile, importRight } from '../agent/region-file/import/importable.ts'
import { startStandIns } from '../cluster/index.ts'
import { installObject } from '../shared/kubernetes/connected.ts'
import { bundled, startBenchCluster, withRegion } from './clusters.ts'
import { databaseName, until } from './databases.ts'
import { type Measurement, ms, timed } from './measurement.ts'

const count = 100

/**
 * A region of a hundred databases, made again from its file in an empty cluster. Nobody waits for CrateDB here: the stand-in for its operator
 * calls a node ready at once.
 */
export const rebuilding: Measurement = {
  name: 'rebuild',
  title: `a region of ${count} databases made again from its file, until each claim is bound to its volume`,
  async measure(bench) {
    const cluster = await startBenchCluster(bench)
    let standIns: Awaited<ReturnType<typeof startStandIns>> | undefined
    const prepare = async () => {
      standIns = await startStandIns(cluster, { nodes: 12, operator: { stepMs: 5 } })
    }
    return withRegion(cluster, { prepare, ...bundled(bench) }, async ({ region, client }) => {
      try {
        for (const object of importRight) await installObject(region.admin, object)
        const databases = Array.from({ length: count }, (_, index) => importableDatabase('harbour', databaseName(index)))
        const { bytes } = await importableFile(databases)
        const body = JSON.parse(bytes.toString())
        const query = 'oldClusterIsGone=true'
        const planMs = await timed(async () => {
          const { status, text } = await client.call('POST', `/v1/region/import?${query}&dryRun=true`, { body })
          if (status !== 200) throw new Error(`plan: ${status} ${text}`)
        })
        let id = ''
        const wholeMs = await timed(async () => {
          const { status, text, body: accepted } = await client.call('POST', `/v1/region/import?${query}`, { body })
          if (status !== 202) throw new Error(`import: ${status} ${text}`)
          id = accepted.id
          await until(async () => {
            const { body: now } = await client.call('GET', `/v1/operations/${id}`)
            bench.tell(now.message ?? now.phase)
            return now.endedAt !== undefined
          }, 1_800_000)
        })
        const { body: ended } = await client.call('GET', `/v1/operations/${id}`)
        if (ended.phase !== 'Succeeded') throw new Error(`${ended.phase}: ${ended.message}`)
        const claims = (await listObjects(region.admin, kinds.PersistentVolumeClaim)).filter(({ metadata }) =>
          metadata.name.startsWith('data'),
        )
        const own = claims.filter(({ spec, metadata }) => spec.volumeName?.startsWith('pvc-harbour-') && metadata.name.startsWith('data'))
        if (own.length !== 2 * count) throw new Error(`${own.length} of ${2 * count} claims have their volumes`)
        return [
          { what: `plan of an import of ${count} databases`, measured: ms(planMs), numbers: { planMs } },
          {
            what: `rebuild of ${count} databases with ${2 * count} volumes`,
            measured: inMinutes(wholeMs),
            numbers: { rebuildMs: wholeMs },
          },
        ]
      } finally {
        await standIns?.stop()
      }
    })
  },
}

function inMinutes(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}
