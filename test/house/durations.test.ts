import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filesOf, textOf } from './files.ts'

/** Who subtracts times of day, and why that is no duration which the monotonic clock could measure. */
const reasons: Record<string, string> = {
  'agent/clock/lease-clock.ts': 'compares clocks',
  'agent/cloud/cloud-clock.ts': 'compares clocks',
  'agent/cloud/registration/look.ts': 'how far the clock of the cloud is ahead of ours, which is to be known',
  'agent/cloud/registration/registrar.ts': 'the time of the cloud, which follows the monotonic clock',
  'agent/controllers/collector.ts': 'since an object was created, perhaps before this process began',
  'agent/controllers/expiry.ts': 'until a date of the record, by the time that is believed for such dates',
  'agent/operations/actions/rotate-password.ts': 'since a step began, perhaps in another process; it only changes a text',
  'agent/operations/work/backup.ts': 'since a step began, perhaps in another process; it only changes a text and how often is looked',
  'agent/preflight/node-clocks.ts': 'compares clocks',
  'agent/preflight/reading.ts': 'compares clocks',
  'agent/export/exporter.ts': 'since a file was written, perhaps by another process',
  'agent/tunnel/on-demand.ts': 'until a time that the cluster keeps, for whichever replica leads then',
  'monitor/checks/domain.ts': 'until a registration expires',
  'monitor/checks/heartbeat.ts': 'the times that it gets move with the clock: see Heartbeats',
  'monitor/checks/sparkplug-node.ts': 'for people to read',
  'monitor/prober/runner.ts': 'its clock is the monotonic one',
  'shared/certificates.ts': 'until a list expires',
  'shared/clock-offset.ts': 'compares clocks',
  'shared/kubernetes/lease.ts': 'how long ago another process renewed, which decides nothing but a pause',
}

/** A line that subtracts from a time of day, or one from something. `performance.now` is monotonic. */
function subtractsTimesOfDay(line: string): boolean {
  return (
    /(?<!performance)[.#( ]now\(\)\)?\s*-\s|\s-\s(?!performance)[\w.#]*\bnow\(\)/.test(line) &&
    !/monotonic|performance\.now|^\s*\/?\*|extract\(/.test(line)
  )
}

test('durations are measured with the monotonic clock: who subtracts times of day has a reason', () => {
  const sources = filesOf().filter((file) => /^(agent|monitor|shared)\/.*\.ts$/.test(file))
  const found = sources.filter((file) => textOf(file).split('\n').some(subtractsTimesOfDay))
  assert.deepEqual(found, Object.keys(reasons).sort())
})
