import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheReadiness, createAdmin } from '../../../agent/admin/app.ts'
import { createMetrics, type MetricSources } from '../../../agent/admin/metrics.ts'
import type { Operation } from '../../../agent/resources/operation.ts'
import type { RetainedDatabase } from '../../../agent/resources/retained-database.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'

function operation(phase: string, acceptedAt: number, endedAt?: number): Operation {
  return {
    apiVersion: 'skerry.dev/v1',
    kind: 'Operation',
    metadata: { name: 'op' },
    spec: { action: 'put', acceptedAt: new Date(acceptedAt).toISOString() },
    status: { phase, ...(endedAt !== undefined && { endedAt: new Date(endedAt).toISOString() }) },
  } as unknown as Operation
}

function retained(database: string, expiresAt: string | undefined): RetainedDatabase {
  const volume = { volume: database, uid: database, claim: `project-harbour/data0-crate-data-hot-${database}-0`, capacity: '8Gi' }
  return {
    apiVersion: 'skerry.dev/v1',
    kind: 'RetainedDatabase',
    metadata: { name: `${database}.00000001`, namespace: 'skerry' },
    spec: {
      ...{ project: 'harbour', database, origin: 'operation', deletedAt: '2026-01-01T00:00:00Z', deletedBy: 'token:cloud' },
      ...(expiresAt !== undefined && { expiresAt }),
      volumes: [volume],
      secrets: [],
    },
  }
}

/** A database with a schedule, whose last successful backup was begun then. */
function backedUp(startedAt: string | undefined, failures: number) {
  const cron = '30 3 * * *'
  const state = {
    schedule: { cron, since: '2025-12-31T12:00:00Z' },
    ...(startedAt !== undefined && { lastSuccess: { at: startedAt, startedAt, snapshot: 'skerry_20260101033000' } }),
    failures,
  }
  const annotations = {
    'skerry.dev/database': JSON.stringify({ snapshots: { s3: { bucket: 'b' }, schedule: cron } }),
    'skerry.dev/backups': JSON.stringify(state),
  }
  const spec = { nodes: { data: [{ replicas: 1 }] } }
  return { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { name: 'tide', namespace: 'project-harbour', annotations }, spec }
}

function start() {
  const clock = createFakeClock()
  const metrics = createMetrics({ version: '1.2.3', clock })
  const caches = {
    projects: { synced: true, heardAt: clock.monotonic() - 3_000, trouble: undefined as string | undefined, size: 7 },
    databases: { synced: false, heardAt: undefined, trouble: 'the API server does not answer' as string | undefined, size: 0 },
  }
  const sources: MetricSources = {
    operations: () => [operation('Waiting', clock.now() - 90_000), operation('Accepted', clock.now() - 10_000), operation('Failed', 0)],
    holes: () => [{ from: 2, to: 9, missing: 3, previousHash: null, hash: null, noticedAt: '2026-01-01T00:00:00.000Z' }],
    queueDepth: () => 4,
    caches,
    isLeader: () => true,
    isLeaderless: () => false,
    subscribers: () => 2,
    servers: () => [
      { name: 'api', open: 3, spared: 1, refused: 0, stalled: 0, outOfDescriptors: 0, malformed: 0, bytes: { received: 0, sent: 0 } },
    ],
    link: {
      totals: () => ({ cloud: { received: 400, sent: 500 } }),
      standing: () => ({
        profile: 'metered',
        because: 'budget',
        budget: { perDay: 1000, used: 900, isOver: false },
        today: { cloud: { received: 400, sent: 500 } },
        yesterday: {},
      }),
    },
    certificateExpiresAt: () => 1_800_000_000_000,
    revocationListExpiresAt: () => 1_790_000_000_000,
    stale: () => ({ certificate: false, tokens: true }),
    exposed: () => ['agent', 'grafana'],
    exported: () => ({
      cloud: {},
      bucket: {
        file: {
          digest: '8f'.repeat(32),
          content: '02'.repeat(32),
          bytes: 41_234,
          ...{ writtenAt: '2026-01-01T00:00:00Z', confirmedAt: '2026-01-01T01:00:00Z' },
        },
      },
      file: { failing: { since: '2026-01-01T00:00:00Z', message: 'the disk is full' } },
    }),
    clocks: () => ({
      cloud: { offsetMs: 10_800_000, uncertaintyMs: 40 },
      apiServer: undefined,
      nodes: new Map([['quay-1', { offsetMs: -20, uncertaintyMs: 12 }]]),
      steps: 1,
      lastStep: { at: clock.now(), byMs: -3_000 },
    }),
    databases: () => [
      rehearsed({ lastSuccess: '2026-01-01T00:00:00.000Z' }),
      rehearsed({ lastSuccess: '2025-12-01T00:00:00.000Z', lastFailure: '2026-01-01T00:00:00.000Z', since: '2025-11-01T00:00:00Z' }),
      rehearsed({ lastSuccess: '2025-12-01T00:00:00.000Z', since: '2025-12-31T00:00:00Z' }),
      rehearsed({}),
      ...[withIdleBackups({}), withIdleBackups({ snapshots: { s3: { bucket: 'b' } } })],
      { apiVersion: '', kind: 'CrateDB', metadata: { name: 'without-backups' }, spec: {} },
      ...[backedUp('2026-01-01T03:30:00Z', 0), backedUp('2025-12-01T03:30:00Z', 4), backedUp(undefined, 1)],
    ],
    retained: () => [retained('tide', '2026-02-01T00:00:00Z'), retained('ebb', '2026-03-01T00:00:00Z'), retained('swell', undefined)],
    registration: () => ({
      ...{ state: 'Recovering', reason: 'Unreachable', message: 'The cloud does not answer.', since: '2026-01-01T00:00:00Z', attempts: 3 },
      ...{ cloud: 'https://cloud.example.org', thumbprint: 'kPrK', lastHeard: new Date(clock.now() - 90_000).toISOString() },
      ledgerKnown: 41,
      credential: { renews: '2025-12-31T23:00:00Z', expires: '2025-12-31T23:20:00Z' },
    }),
  }
  const admin = createAdmin({
    metrics,
    readiness: [...cacheReadiness(caches), { name: 'journal', trouble: () => undefined }],
    facts: () => ({ leader: true, holder: 'agent-0_1a2b' }),
  })
  const page = async (accept?: string) => {
    const response = await admin.request('/metrics', accept === undefined ? {} : { headers: { accept } })
    return { type: response.headers.get('content-type'), text: await response.text() }
  }
  return { clock, metrics, caches, sources, admin, page }
}

/** A database for whose backups the Crate Operator made no job when it created it. */
function withIdleBackups(given: object): KubernetesObject {
  const spec = { backups: { aws: {} } }
  const handled = { 'operator.cloud.crate.io/last': JSON.stringify({ spec }) }
  const annotations = { 'skerry.dev/database': JSON.stringify(given), ...handled }
  const status = { 'cluster_create/bootstrap': { success: true } }
  return { apiVersion: '', kind: 'CrateDB', metadata: { name: 'idle', annotations }, spec, status }
}

/** A database with backups of its own, and when their restore was rehearsed. */
function rehearsed({ lastSuccess, lastFailure, since }: Record<string, string>): KubernetesObject {
  const rehearse = '30 5 * * 0'
  const rehearsal = {
    ...(since && { schedule: { cron: rehearse, since } }),
    ...(lastSuccess && { lastSuccess: { at: lastSuccess, operation: 'op-1', snapshot: 's' } }),
    ...(lastFailure && { lastFailure: { at: lastFailure, operation: 'op-2', reason: 'ShardsMissing', message: '' } }),
  }
  const annotations = {
    'skerry.dev/database': JSON.stringify({ snapshots: { s3: { bucket: 'b' }, ...(since && { rehearse }) } }),
    'skerry.dev/backups': JSON.stringify({ rehearsal }),
  }
  return { apiVersion: '', kind: 'CrateDB', metadata: { name: 'tidal', annotations }, spec: {} }
}

test('it is alive as soon as it answers', async () => {
  const response = await start().admin.request('/healthz')
  assert.equal(response.status, 200)
})

test('it is not ready while a cache is not whole, and says which and why', async () => {
  const { admin, caches } = start()
  const response = await admin.request('/readyz')
  assert.equal(response.status, 503)
  assert.deepEqual(await response.json(), {
    ready: false,
    parts: [
      { name: 'cache of projects', ready: true },
      { name: 'cache of databases', ready: false, reason: 'not listed yet: the API server does not answer' },
      { name: 'journal', ready: true },
    ],
    facts: { leader: true, holder: 'agent-0_1a2b' },
  })
  caches.databases.synced = true
  assert.equal((await admin.request('/readyz')).status, 200)
})

test('what happened and what is can be scraped', async () => {
  const { metrics, sources, page, clock } = start()
  metrics.read(sources)
  metrics.observeRequest({ method: 'GET', route: '/v1/projects/{project}', status: 200, seconds: 0.002 })
  metrics.observeRequest({ method: 'PUT', route: '/v1/projects/{project}', status: 422, seconds: 0.002, problem: 'invalid-fields' })
  metrics.observeRequest({ method: 'MKACTIVITY', route: 'none', status: 405, seconds: 0, problem: 'method-not-allowed' })
  metrics.observeCluster('PATCH', 409, 0.01)
  metrics.observeEnded(operation('Succeeded', clock.now() - 42_000, clock.now()))
  metrics.observeEvents('relist')
  const { type, text } = await page()
  assert.match(type ?? '', /^text\/plain; version=0\.0\.4/)
  const lines = [
    'skerry_agent_http_request_duration_seconds_count{method="GET",route="/v1/projects/{project}",status="2xx"} 1',
    'skerry_agent_http_request_duration_seconds_count{method="PUT",route="/v1/projects/{project}",status="4xx"} 1',
    'skerry_agent_http_request_duration_seconds_count{method="other",route="none",status="4xx"} 1',
    'skerry_agent_http_problems_total{type="invalid-fields"} 1',
    'skerry_agent_kubernetes_request_duration_seconds_count{method="PATCH",status="409"} 1',
    'skerry_agent_operation_duration_seconds_sum{action="put",outcome="Succeeded"} 42',
    'skerry_agent_operations{phase="Waiting"} 1',
    'skerry_agent_operations{phase="Succeeded"} 0',
    'skerry_agent_operation_oldest_age_seconds 90',
    'skerry_agent_queue_depth 4',
    'skerry_agent_ledger_missing_entries 3',
    'skerry_agent_ledger_hole_timestamp_seconds 1767225600',
    'skerry_agent_leader 1',
    'skerry_agent_leaderless 0',
    'skerry_agent_operations_waiting{reason="NoLeader"} 0',
    'skerry_agent_event_subscribers 2',
    'skerry_agent_certificate_expiry_timestamp_seconds 1800000000',
    'skerry_agent_client_crl_expiry_timestamp_seconds 1790000000',
    'skerry_agent_credentials_stale{source="certificate"} 0',
    'skerry_agent_credentials_stale{source="tokens"} 1',
    'skerry_agent_tunnel_exposed{what="grafana"} 1',
    'skerry_agent_tunnel_exposed{what="prometheus"} 0',
    'skerry_agent_registration_state{state="Recovering"} 1',
    'skerry_agent_registration_state{state="Ready"} 0',
    'skerry_agent_registration_since_timestamp_seconds 1767225600',
    'skerry_agent_registration_credential_expiry_timestamp_seconds 1767223200',
    'skerry_agent_registration_heard_age_seconds 90',
    'skerry_agent_registration_ledger_known 41',
    'skerry_agent_export_last_success_timestamp_seconds{place="bucket"} 1767229200',
    'skerry_agent_export_last_success_timestamp_seconds{place="file"} 0',
    'skerry_agent_export_failing{place="bucket"} 0',
    'skerry_agent_export_failing{place="file"} 1',
    'skerry_agent_export_file_bytes{place="bucket"} 41234',
    'skerry_agent_rehearsal_databases{state="never"} 5',
    'skerry_agent_rehearsal_databases{state="succeeded"} 2',
    'skerry_agent_rehearsal_databases{state="failed"} 1',
    'skerry_agent_rehearsal_last_success_timestamp_seconds 1764547200',
    'skerry_agent_backup_scheduled 3',
    'skerry_agent_backup_failing 2',
    'skerry_agent_rehearsal_overdue 1',
    'skerry_agent_backup_not_taken 1',
    'skerry_agent_backup_overdue 1',
    'skerry_agent_backup_oldest_success_timestamp_seconds 1764559800',
    'skerry_agent_retained_databases{phase="Kept"} 3',
    'skerry_agent_retained_databases{phase="PurgeIncomplete"} 0',
    'skerry_agent_retained_bytes 25769803776',
    'skerry_agent_retained_next_expiry_timestamp_seconds 1769904000',
    'skerry_agent_events_total{what="relist"} 1',
    'skerry_agent_cache_synced{cache="databases"} 0',
    'skerry_agent_cache_objects{cache="projects"} 7',
    'skerry_agent_cache_heard_age_seconds{cache="projects"} 3',
    'skerry_agent_cache_troubled{cache="databases"} 1',
    `skerry_agent_build_info{version="1.2.3",node="${process.version}"} 1`,
  ]
  for (const line of lines) assert.ok(text.split('\n').includes(line), line)
  assert.match(text, /^process_resident_memory_bytes \d+$/m)
  assert.doesNotMatch(text, /heard_age_seconds\{cache="databases"/)
  assert.doesNotMatch(text, /^# TYPE \S+_total gauge$/m, 'the name of a counter')
})

test('OpenMetrics is written for those who prefer it, and the other format stays as it is', async () => {
  const { metrics, page } = start()
  metrics.observeEvents('made')
  const prometheus =
    'application/openmetrics-text;version=1.0.0;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1'
  for (let round = 0; round < 2; round++) {
    const open = await page(prometheus)
    assert.match(open.type ?? '', /^application\/openmetrics-text; version=1\.0\.0/)
    assert.ok(open.text.endsWith('\n# EOF\n'))
    assert.match(open.text, /^# TYPE skerry_agent_events counter$/m)
    assert.match(open.text, /^skerry_agent_events_total\{what="made"\} 1$/m)
    assert.doesNotMatch(open.text, /\n\n/)
    const plain = await page('text/plain;version=0.0.4')
    assert.match(plain.text, /^# TYPE skerry_agent_events_total counter$/m)
    assert.match(plain.text, /^skerry_agent_events_total\{what="made"\} 1$/m)
  }
})

test('without a cloud there is no metric of a registration', async () => {
  const { metrics, sources, page } = start()
  metrics.read({ ...sources, registration: () => undefined })
  assert.doesNotMatch((await page()).text, /registration/)
})
