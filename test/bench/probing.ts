import { startBlackbox } from '../peers/blackbox.ts'
import { startNginx } from '../peers/nginx.ts'
import { startLoneMonitor } from './lone-monitor.ts'
import { type Finding, type Measurement, median, sideBySide } from './measurement.ts'
import { asTest } from './peers.ts'
import { startProberAtFull } from './prober-at-full.ts'
import { processFacts } from './proc.ts'

const budget = 2.5
const lanes = 8
const roundMs = 2_000

/** Checks of one nginx, each on a new connection, beside the probes of blackbox_exporter, which runs them on request only. */
export const probing: Measurement = {
  name: 'probe',
  title: `probes per CPU second ≥ ${budget} × blackbox_exporter's on the same target`,
  async measure({ monitorBundle, tell }) {
    return asTest(async (t) => {
      const target = await startNginx(t)
      const blackbox = await startBlackbox(t, { http_2xx: { prober: 'http' }, tcp_connect: { prober: 'tcp' } })
      const monitor = await startLoneMonitor({
        program: monitorBundle,
        config: {
          metrics: {
            host: '127.0.0.1',
            port: 0,
            hostMetrics: { enabled: false },
            probe: { allow: [{ addresses: ['127.0.0.1/32'], ports: [target.port] }] },
          },
        },
      })
      t.after(() => monitor.stop())
      const findings: Finding[] = []
      for (const [kind, module, at] of [
        ['http', 'http_2xx', `http://127.0.0.1:${target.port}/`],
        ['tcp', 'tcp_connect', `127.0.0.1:${target.port}`],
      ] as const) {
        tell(`${kind} probes`)
        const query = `/probe?module=${module}&target=${encodeURIComponent(at)}`
        const prober = startProberAtFull({ kind, port: target.port })
        t.after(() => prober.stop())
        const asked = await sideBySide(
          { rounds: 5, warmUp: 1 },
          () => probesPerCpuSecond(`${monitor.url}${query}`, monitor.pid),
          () => probesPerCpuSecond(`${blackbox.url}${query}`, blackbox.pid),
        )
        const own: number[] = []
        for (let round = 0; round < 5; round++) own.push(await prober.probesPerCpuSecond(roundMs))
        prober.stop()
        const theirs = median(asked.other)
        findings.push(finding(`${kind} checks per CPU second`, median(own), theirs, budget))
        findings.push(finding(`${kind} probes requested at /probe`, median(asked.one), theirs))
      }
      return findings
    })
  },
}

function finding(what: string, ours: number, theirs: number, atLeast?: number): Finding {
  return {
    what,
    measured: Math.round(ours).toLocaleString('en'),
    against: `blackbox_exporter ${Math.round(theirs).toLocaleString('en')}`,
    ratio: ours / theirs,
    budget: atLeast === undefined ? undefined : { text: `≥ ${atLeast} ×`, met: ours / theirs >= atLeast },
    numbers: { ours, theirs },
  }
}

/** Requests probes as fast as they are answered. @throws Error if one fails */
async function probesPerCpuSecond(url: string, pid: number): Promise<number> {
  const before = processFacts(pid).cpuMs
  const until = performance.now() + roundMs
  let probes = 0
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      while (performance.now() < until) {
        const text = await (await fetch(url)).text()
        if (!/^probe_success 1$/m.test(text)) throw new Error(`a probe failed: ${url}\n${text}`)
        probes++
      }
    }),
  )
  return (probes * 1000) / (processFacts(pid).cpuMs - before)
}
