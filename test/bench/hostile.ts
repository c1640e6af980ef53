import { Agent, request } from 'node:https'
import { hostileBodies } from '../agent/api/hostile-shapes.ts'
import { startEmbeddedCluster, startStandIns } from '../cluster/index.ts'
import { bundled, withRegion } from './clusters.ts'
import { databaseBody, project } from './databases.ts'
import { type Measurement, ms } from './measurement.ts'
import { processFacts } from './proc.ts'

const atMostMs = 50
const atMostBytes = 64 * 1024
/** The kernel counts CPU time in ticks of 10 ms, so the dearest are sent often enough that a tick does not matter. */
const rounds = 20
const dearest = 5

/** The CPU time of the agent for one body of the maximum size, of the worst shape that is known. */
export const hostile: Measurement = {
  name: 'hostile',
  title: `a hostile body of 1 MiB costs ≤ ${atMostMs} ms of CPU time, and its answer has ≤ 64 KiB`,
  async measure(bench) {
    const cluster = await startEmbeddedCluster()
    const prepare = async () => {
      const standIns = await startStandIns(cluster, { pods: false })
      await standIns.stop()
    }
    return withRegion(cluster, { prepare, ...bundled(bench) }, async ({ region, agent, client }) => {
      const made = await client.call('PUT', `/v1/projects/${project}`, { body: { quota: {} }, headers: { prefer: 'wait=30' } })
      if (made.status !== 200) throw new Error(`the project was not created: ${made.text}`)
      const database = `/v1/projects/${project}/databases/tidal-gauge`
      const put = await client.call('PUT', database, { body: databaseBody('tidal-gauge') })
      if (put.status !== 202) throw new Error(`the database was not accepted: ${put.text}`)
      const requests = [
        ['PUT', database],
        ['PATCH', database],
        ['PUT', `/v1/projects/${project}`],
        ['POST', `${database}/actions/restore`],
      ] as const
      const sender = createSender({ url: agent.url, ca: region.ca, token: region.token })
      let longest = 0
      /** The CPU time for one of these requests, on average. */
      const costOf = async (method: string, path: string, body: string, times: number): Promise<number> => {
        const before = processFacts(agent.pid).cpuMs
        for (let round = 0; round < times; round++) {
          longest = Math.max(longest, await sender.send(method, `${path}?dryRun=true`, body))
        }
        return (processFacts(agent.pid).cpuMs - before) / times
      }
      const found: { what: string; cost: number; again: () => Promise<number> }[] = []
      for (const { name, body } of hostileBodies(databaseBody('tidal-gauge'))) {
        bench.tell(name)
        for (const [method, path] of requests) {
          const cost = await costOf(method, path, body, 2)
          found.push({ what: `${method}: ${name}`, cost, again: () => costOf(method, path, body, rounds) })
        }
      }
      let worst = { what: '', cost: 0 }
      for (const { what, again } of found.sort((a, b) => b.cost - a.cost).slice(0, dearest)) {
        const cost = await again()
        if (cost > worst.cost) worst = { what, cost }
      }
      sender.close()
      bench.note(`${found.length} requests; the dearest is ${worst.what}`)
      return [
        {
          what: 'CPU time for the dearest hostile body of 1 MiB',
          measured: ms(worst.cost),
          budget: { text: `≤ ${atMostMs} ms`, met: worst.cost <= atMostMs },
          numbers: { cpuMs: worst.cost },
        },
        {
          what: 'its longest answer',
          measured: `${(longest / 1024).toFixed(0)} KiB`,
          budget: { text: `≤ ${atMostBytes / 1024} KiB`, met: longest <= atMostBytes },
          numbers: { bytes: longest },
        },
      ]
    })
  },
}

/** Sends bodies as they are, on one kept connection. */
function createSender({ url, ca, token }: { url: string; ca: string; token: string }) {
  const agent = new Agent({ keepAlive: true, ca, maxSockets: 1 })
  return {
    /** The bytes of the answer. */
    send(method: string, path: string, body: string): Promise<number> {
      const headers = {
        authorization: `Bearer ${token}`,
        'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
        'content-length': Buffer.byteLength(body),
      }
      return new Promise((resolve, reject) => {
        request(new URL(path, url), { agent, method, headers }, (answer) => {
          let bytes = 0
          answer.on('data', (chunk: Buffer) => {
            bytes += chunk.byteLength
          })
          answer.on('error', reject)
          answer.on('end', () => resolve(bytes))
        })
          .on('error', reject)
          .end(body)
      })
    },
    close: () => agent.destroy(),
  }
}
