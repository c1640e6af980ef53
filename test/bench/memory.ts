import { nodeArguments } from '../../deploy/node-arguments.ts'
import { startEmbeddedCluster } from '../cluster/index.ts'
import { bareMiB } from './bare-node.ts'
import { bundled, withRegion } from './clusters.ts'
import { createDatabases, createProject, makeOriginal } from './databases.ts'
import { type Bench, type Finding, held, type Measurement, median, mib } from './measurement.ts'
import { processFacts } from './proc.ts'

const many = 1000
const rounds = 3
/** An idle agent settles in less. */
const settleMs = 5_000
/** Beside bare Node's memory: 90 and 120 MiB where that takes 42. */
const atMost = { empty: 2.1, full: 2.85 }

/** The resident memory of the bundled agent once its caches are synced, beside a bare Node that waits. */
export const memory: Measurement = {
  name: 'memory',
  title: `resident, synced: ≤ ${atMost.empty} × bare Node without databases, ≤ ${atMost.full} × with ${many.toLocaleString('en')}`,
  async measure(bench) {
    const original = await makeOriginal(bench)
    return withRegion(await startEmbeddedCluster(), bundled(bench), async ({ region, agent, client }) => {
      await agent.stop()
      const bare: number[] = []
      for (let round = 0; round < rounds; round++) bare.push(await bareMiB(nodeArguments.agent))
      const floor = median(bare)
      const empty = await resident(bench, () => region.startAgent(bundled(bench)))
      bench.tell(`creating ${many} databases`)
      await createProject(region.admin, original)
      await createDatabases(region.admin, original, { count: many })
      const full = await resident(bench, () => region.startAgent(bundled(bench)))
      client.close()
      bench.note(`each of the databases has ${countByKind(original.around.map(({ kind }) => kind))}`)
      return [
        finding('without databases', empty, { floor, atMost: atMost.empty }),
        finding(`with ${many.toLocaleString('en')} databases`, full, { floor, atMost: atMost.full }),
        { what: 'at its highest while it synced', measured: mib(full.peak), numbers: { peakMiB: full.peak } },
      ]
    })
  },
}

type Facts = { rss: number; peak: number }

async function resident({ tell }: Bench, start: () => Promise<{ pid: number; stop(): Promise<unknown> }>): Promise<Facts> {
  const facts: Facts[] = []
  for (let round = 0; round < rounds; round++) {
    tell(`agent ${round + 1} of ${rounds} settles`)
    const agent = await start()
    await new Promise((resolve) => setTimeout(resolve, settleMs))
    facts.push(processFacts(agent.pid))
    await agent.stop()
  }
  return { rss: median(facts.map(({ rss }) => rss)), peak: median(facts.map(({ peak }) => peak)) }
}

function finding(what: string, { rss }: Facts, { floor, atMost }: { floor: number; atMost: number }): Finding {
  return {
    what: `agent resident ${what}`,
    measured: mib(rss),
    against: `bare Node ${mib(floor)}`,
    ...held(rss / floor, { atMost }),
    numbers: { rssMiB: rss, floorMiB: floor },
  }
}

function countByKind(kinds: string[]): string {
  return [...Map.groupBy(kinds, (kind) => kind)].map(([kind, all]) => `${all.length} × ${kind}`).join(', ')
}
