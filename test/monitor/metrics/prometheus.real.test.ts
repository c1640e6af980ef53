import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createCounters } from '../../../monitor/sparkplug/counters.ts'
import { programPath } from '../../peers/peer.ts'
import { startPrometheus } from '../../peers/prometheus.ts'
import { startEndpoint, statusOf } from './endpoint-in-hand.ts'

/** An endpoint that tells everything it can: a check in each state, measurements, the host, and an edge node. */
async function startFull(t: TestContext) {
  const found = await startEndpoint(
    t,
    { hostMetrics: { enabled: true, interval: '1s' } },
    { sparkplug: createCounters, reload: () => ({ ok: true, at: Date.now() }) },
  )
  const measurements = [
    { name: 'skerry_http_status_code', value: 200 },
    { name: 'skerry_http_phase_duration_seconds', labels: { phase: 'tls' }, value: 0.002 },
  ]
  found.prober.statuses = [
    statusOf({ name: 'up' }, { state: 'up', measurements, finishedAt: Date.now(), lastSuccessAt: Date.now() }),
    statusOf({ name: 'degraded' }, { state: 'degraded', reason: 'expiring', measurements }),
    statusOf({ name: 'down' }, { state: 'down', reason: 'timeout', consecutiveFailures: 4 }),
    statusOf({ name: 'never run' }),
    statusOf({ name: 'ends with \\', target: 'say "hello"\nMünchen 🚢', labels: { note: 'a\0b\rc{}=,' } }, { state: 'up' }),
  ]
  found.prober.statistics.runs = { up: 2, degraded: 1, down: 1, unknown: 1 }
  // The first readings of the host come in the background.
  while (!/skerry_host_filesystem_size_bytes\{/.test(await found.page())) await sleep(20)
  return found
}

/** What promtool says of a page, and the code it ends with. */
async function promtool(text: string): Promise<{ code: number | null; said: string }> {
  const program = programPath({ name: 'promtool', package: 'prometheus', program: '/usr/bin/promtool' })
  const child = spawn(program, ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.end(text)
  const [out, err, code] = await Promise.all([
    child.stdout.toArray(),
    child.stderr.toArray(),
    new Promise<number | null>((resolve) => child.once('close', resolve)),
  ])
  return { code, said: [...out, ...err].join('') }
}

test('promtool finds nothing to say of the page', async (t) => {
  const { page } = await startFull(t)
  assert.deepEqual(await promtool(await page()), { code: 0, said: '' })
  const worse = await promtool(`${await page()}# TYPE badName gauge\nbadName 1\n`)
  assert.notEqual(worse.said, '', 'it would have said something')
})

test('a real Prometheus scrapes it, and its series agree with the truth', async (t) => {
  const { endpoint, prober } = await startFull(t)
  const prometheus = await startPrometheus(t, { scrape: [endpoint.port()] })
  const query = async (expression: string): Promise<{ metric: Record<string, string>; value: [number, string] }[]> => {
    const response = await fetch(`${prometheus.url}/api/v1/query?query=${encodeURIComponent(expression)}`)
    const { data } = (await response.json()) as { data: { result: { metric: Record<string, string>; value: [number, string] }[] } }
    return data.result
  }
  const until = async (what: string, isSo: () => Promise<boolean>) => {
    for (const deadline = performance.now() + 60_000; !(await isSo()); await sleep(50))
      if (performance.now() > deadline) {
        const targets = await (await fetch(`${prometheus.url}/api/v1/targets`)).text()
        assert.fail(`${what}: ${targets.slice(0, 3000)}`)
      }
  }
  /** What was there a moment ago: a busy machine may make a scrape come late, and be given up. */
  const seen = (series: string, rest = '') => query(`last_over_time(${series}[1m])${rest}`)
  await until('it is scraped', async () => (await query('skerry_check_up')).length === 5)

  await t.test('states', async () => {
    const up = Object.fromEntries((await seen('skerry_check_up')).map(({ metric, value }) => [metric.check, value[1]]))
    assert.deepEqual(up, { up: '1', degraded: '1', down: '0', 'never run': '0', 'ends with \\': '1' })
    const [down] = await seen('skerry_check_state{state="down"}', ' == 1')
    assert.equal(down?.metric.check, 'down')
    assert.equal((await seen('skerry_check_reason{check="down"}'))[0]?.metric.reason, 'timeout')
  })
  await t.test('labels arrive as they were', async () => {
    const [found] = await seen('skerry_check_up{check="ends with \\\\"}')
    assert.equal(found?.metric.target, 'say "hello"\nMünchen 🚢')
    assert.equal(found?.metric.note, 'a\ufffdb\rc{}=,')
  })
  await t.test('types and help are known, counters under the names of their samples', async () => {
    const { data } = (await (await fetch(`${prometheus.url}/api/v1/metadata`)).json()) as { data: Record<string, { type: string }[]> }
    assert.equal(data.skerry_check_duration_seconds?.[0]?.type, 'histogram')
    assert.equal(data.skerry_check_up?.[0]?.type, 'gauge')
    assert.equal((data.skerry_monitor_check_runs_total ?? data.skerry_monitor_check_runs)?.[0]?.type, 'counter')
    assert.equal((await seen('skerry_monitor_check_runs_total')).length, 4)
  })
  await t.test('no sample was left out as a duplicate or as unordered', async () => {
    const [scraped] = await query(`max_over_time(scrape_samples_scraped{instance!~".*:${prometheus.port}"}[1m])`)
    assert.ok(Number(scraped?.value[1]) > 100)
    // It scrapes itself too, which a busy machine may make it do late.
    for (const name of ['duplicate_timestamp', 'out_of_bounds', 'out_of_order']) {
      const leftOut = `max_over_time(prometheus_target_scrapes_sample_${name}_total[1m])`
      await until(`${name} is known`, async () => (await query(leftOut)).length > 0)
      assert.equal((await query(leftOut))[0]?.value[1], '0', name)
    }
  })
  await t.test('the series of a check that is gone go stale', async () => {
    prober.statuses = prober.statuses.slice(0, 1)
    await until('they alone are gone', async () => {
      const [others, all] = await Promise.all([query('{check!="",check!="up"}'), query('skerry_check_up')])
      return others.length === 0 && all.length === 1
    })
  })
})
