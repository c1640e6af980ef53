import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Snapshot } from '../../../../agent/backups/statements.ts'
import { superfluous } from '../../../../agent/operations/work/retention.ts'

const day = (number: number) => `skerry_202611${String(number).padStart(2, '0')}033000`

function snapshot(name: string, change: Partial<Snapshot> = {}): Snapshot {
  const usual = { repository: 'skerry', state: 'SUCCESS', started: 1, finished: 2, tables: [], failures: [] }
  return { ...usual, reason: undefined, totalShards: undefined, name, ...change }
}

const good = [3, 1, 2].map((number) => snapshot(day(number)))

const cases: { name: string; snapshots: Snapshot[]; keep: number; former?: string; drops: string[] }[] = [
  { name: 'nothing while there are not too many', snapshots: good, keep: 3, drops: [] },
  { name: 'the oldest first, whatever their order', snapshots: good, keep: 1, drops: [day(1), day(2)] },
  {
    name: 'what is of no use, and does not count it as kept',
    snapshots: [...good, snapshot(day(4), { state: 'PARTIAL' }), snapshot(day(5), { state: 'FAILED' })],
    keep: 3,
    drops: [day(4), day(5)],
  },
  { name: 'none that is being taken', snapshots: [snapshot(day(9), { state: 'IN_PROGRESS' }), ...good], keep: 3, drops: [] },
  {
    name: 'none whose files cannot be read, which CrateDB calls FAILED too: it may be a good one',
    snapshots: [...good, snapshot(day(4), { state: 'FAILED', started: undefined, finished: undefined })],
    keep: 3,
    drops: [],
  },
  { name: 'none that was in the folder before, which counts for nothing', snapshots: good, keep: 1, former: day(1), drops: [day(2)] },
  { name: 'none of a former database, although there are too many', snapshots: good, keep: 1, former: day(2), drops: [] },
  {
    name: 'none of others, in the repository or elsewhere',
    snapshots: [...good, snapshot('nightly'), snapshot('skerry_1'), snapshot(day(1), { repository: 'system_backup' })],
    keep: 3,
    drops: [],
  },
]
for (const { name, snapshots, keep, former, drops } of cases)
  test(`retention drops ${name}`, () => assert.deepEqual(superfluous(snapshots, { keep, former }), drops))
