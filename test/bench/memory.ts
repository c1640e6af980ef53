import { startEmbeddedCluster } from '../cluster/embedded/index.ts'
import { bundled, withRegion } from './clusters.ts'
import { createDatabases, createProject, makeOriginal } from './databases.ts'
import { type Bench, type Finding, type Measurement, median, mib } from './measurement.ts'
import { processFacts } from './proc.ts'

const many = 1000
const rounds = 3
/** After this an agent that has nothing to do has long settled. */
const settleMs = 5_000

/** What the bundled agent holds in memory once it has seen everything. */
export const memory: Measurement = {
  name: 'memory',
  title: `resident, synced: ≤ 90 MiB with no databases, ≤ 120 MiB with ${many.toLocaleString('en')}`,
  async measure(bench) {
    const original = await makeOriginal(bench)
    return withRegion(await startEmbeddedCluster(), bundled(bench), async ({ region, agent, client }) => {
      await agent.stop()
      const empty = await resident(bench, () => region.startAgent(bundled(bench)))
      bench.tell(`creating ${many} databases`)
      await createProject(region.admin, original)
      await createDatabases(region.admin, original, { count: many })
      const full = await resident(bench, () => region.startAgent(bundled(bench)))
      client.close()
      bench.note(`each of the databases has ${countByKind(original.around.map(({ kind }) => kind))}`)
      return [finding('without databases', empty, 90), finding(`with ${many.toLocaleString('en')} databases`, full, 120)]
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

function finding(what: string, { rss, peak }: Facts, budget: number): Finding {
  return {
    what: `resident ${what}`,
    measured: mib(rss),
    against: `at its highest ${mib(peak)}`,
    budget: { text: `≤ ${budget} MiB`, met: rss <= budget },
    numbers: { rssMiB: rss, peakMiB: peak },
  }
}

function countByKind(kinds: string[]): string {
  return [...Map.groupBy(kinds, (kind) => kind)].map(([kind, all]) => `${all.length} × ${kind}`).join(', ')
}
