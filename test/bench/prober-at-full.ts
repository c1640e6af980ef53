import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pino from 'pino'
import { checkKinds } from '../../monitor/checks/index.ts'
import type { Check } from '../../monitor/prober/check.ts'
import { createProber } from '../../monitor/prober/index.ts'
import { systemClock } from '../../shared/clock.ts'

/** The server that the checks probe. */
export type Target = { kind: 'http' | 'tcp'; port: number }

type Run = { runs: number; failed: number; cpuMs: number }

/** Starts a prober in a process of its own, with more checks due than it can run. Each call measures its probes per CPU second. */
export function startProberAtFull(target: Target): { probesPerCpuSecond(ms: number): Promise<number>; stop(): void } {
  const child = fork(fileURLToPath(import.meta.url))
  child.send(target)
  return {
    async probesPerCpuSecond(ms) {
      child.send({ ms })
      const [{ runs, failed, cpuMs }] = (await once(child, 'message')) as [Run]
      if (failed > 0) throw new Error(`${failed} of ${runs} checks failed`)
      return (runs * 1000) / cpuMs
    },
    stop: () => void child.kill(),
  }
}

async function work({ kind, port }: Target): Promise<void> {
  const options =
    kind === 'http'
      ? checkKinds.http.options.parse({ url: `http://127.0.0.1:${port}/` })
      : checkKinds.tcp.options.parse({ host: '127.0.0.1', port })
  const prober = createProber({ parallelism: 8 }, { context: {}, clock: systemClock, log: pino({ level: 'warn' }) })
  const usual = { kind, options, target: 'nginx', group: 'checks', severity: 'warning', labels: {}, dependsOn: [], actions: [] } as const
  const times = { intervalMs: 5, timeoutMs: 5_000, retries: 0, retryDelayMs: 1_000, recoveryDelayMs: 0 }
  prober.set(Array.from({ length: 64 }, (_, number): Check => ({ ...usual, ...times, name: `check-${number}` })))
  await prober.start(new AbortController().signal)
  const runs = () => Object.values(prober.statistics.runs).reduce((a, b) => a + b)
  const isUp = (state: string) => state === 'up' || state === 'unknown'
  process.on('message', async ({ ms }: { ms: number }) => {
    const before = runs()
    const cpu = process.cpuUsage()
    await sleep(ms)
    const { user, system } = process.cpuUsage(cpu)
    const failed = [...prober.statuses()].filter(({ state }) => !isUp(state)).length
    process.send?.({ runs: runs() - before, failed, cpuMs: (user + system) / 1000 } satisfies Run)
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.once('message', (target: Target) => void work(target))
  process.on('disconnect', () => process.exit(0))
}
