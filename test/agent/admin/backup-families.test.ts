import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backupFamilies } from '../../../agent/admin/backup-families.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'

/* How many databases are without a recent backup, which an alert watches. */

const cron = '30 3 * * *'

function database(state: object): KubernetesObject {
  const annotations = {
    'skerry.dev/database': JSON.stringify({ snapshots: { s3: { bucket: 'b' }, schedule: cron } }),
    'skerry.dev/backups': JSON.stringify(state),
  }
  const spec = { nodes: { data: [{ replicas: 1 }] } }
  return { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { name: 'tide', namespace: 'project-harbour', annotations }, spec }
}

const success = (startedAt: string, at = startedAt) => ({ at, startedAt, snapshot: 'skerry_20260101033000' })

const cases = [
  {
    name: 'one whose every backup has failed, however recent the last attempt is',
    state: { schedule: { cron, since: '2026-01-09T03:30:00Z', set: '2026-01-01T12:00:00Z' }, failures: 20 },
    overdue: 1,
  },
  {
    name: 'none whose schedule was set a day ago',
    state: { schedule: { cron, since: '2026-01-08T12:00:00Z', set: '2026-01-08T12:00:00Z' } },
    overdue: 0,
  },
  {
    name: 'none that had a schedule once, and has one again since a day',
    state: {
      schedule: { cron, since: '2026-01-08T12:00:00Z', set: '2026-01-08T12:00:00Z' },
      lastSuccess: success('2025-06-01T03:30:00Z'),
    },
    overdue: 0,
  },
  {
    name: 'one whose last success is older than two runs',
    state: {
      schedule: { cron, since: '2026-01-09T03:30:00Z', set: '2026-01-01T12:00:00Z' },
      lastSuccess: success('2026-01-07T03:30:00Z'),
      failures: 2,
    },
    overdue: 1,
  },
  {
    name: 'none whose last success is of yesterday',
    state: { schedule: { cron, since: '2026-01-08T03:30:00Z', set: '2026-01-01T12:00:00Z' }, lastSuccess: success('2026-01-08T03:31:00Z') },
    overdue: 0,
  },
]
for (const { name, state, overdue } of cases) {
  test(`overdue is ${name}`, () => {
    const families = backupFamilies([database(state)], Date.parse('2026-01-09T12:00:00Z'))
    const found = families.find((family) => family.name === 'skerry_agent_backup_overdue')
    assert.equal([...(found?.values ?? [])][0]?.value, overdue)
  })
}
