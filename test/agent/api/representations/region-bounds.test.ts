import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { bounds, withinBytes } from '../../../../agent/api/representations/region-bounds.ts'
import type { RegionDocument } from '../../../../agent/api/representations/region-schema.ts'
import { withoutNulls } from '../../../../agent/cloud/status/patch.ts'
import { hostsOf } from '../../../../agent/region/status.ts'
import { nodeNamed } from '../../region/scene.ts'

const nodeInfo = {
  kubeletVersion: 'v1.34.1',
  architecture: 'amd64',
  operatingSystem: 'linux',
  osImage: 'Debian GNU/Linux 12 (bookworm)',
  kernelVersion: '6.1.0-28-amd64',
  containerRuntimeVersion: 'containerd://1.7.24',
}

type Many = { hosts: number; databases: number; blockers?: number; name?: (index: number) => string }

/** A document with so many hosts and databases, and usual content besides. */
function documentWith({ hosts, databases, blockers = 3, name = (index) => String(index).padStart(4, '0') }: Many): RegionDocument {
  const nodes = Array.from({ length: hosts }, (_, index) => {
    const node = nodeNamed(`node-${name(index)}.harbour.example`)
    return { ...node, status: { ...node.status, nodeInfo } }
  })
  const states = Array.from({ length: databases }, (_, index) => [
    `harbour-${index % 20}/tidal-gauge-${name(index)}`,
    { phase: 'Running', health: 'GREEN', ready: 3, desired: 3, version: '5.10.1' },
  ])
  const state = { state: 'current', have: '1.21.1', want: '1.21.1', version: 'v1.21.1', namespace: 'monitoring', ready: true } as const
  const parts = ['hosts', 'storageClasses', 'capacity', 'databases', 'databaseStates', 'projects', 'operator', 'components', 'platform']
  return {
    id: 'harbour-1',
    name: 'Harbour',
    agent: { version: '0.2.0' },
    kubernetes: { version: 'v1.34.1' },
    hosts: hostsOf(nodes),
    storageClasses: [],
    capacity: {
      allocatable: { cpu: 24, memory: '96Gi', hosts },
      requested: { cpu: 24, memory: '96Gi', storage: '2Ti', nodes: 3, databases },
      promised: { cpu: 24, memory: '96Gi', storage: '2Ti', databases: 1, open: { cpu: 0, memory: 0, storage: 0, databases: 0 } },
    },
    databases,
    databaseStates: Object.fromEntries(states),
    backups: { scheduled: databases, unscheduled: 0, failing: 0 },
    projects: 20,
    leader: { state: 'leads', holder: 'skerry-agent-7d9f8-x2x4z_1a2b3c4d', trouble: null },
    operator: { state: 'running', version: '2.64.0', backupImage: 'set', namespace: 'crate-operator', deployment: 'crate-operator' },
    tunnel: null,
    clock: { cloud: null, apiServer: null, nodes: { measured: 0, apartMs: null, off: [] }, steps: 0, lastStep: null },
    components: Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`component-${index}`, state])),
    sealing: { certificate: 'A'.repeat(1_900), fingerprint: 'a'.repeat(64), expires: '2036-01-31T12:00:00Z' },
    blockers: Array.from({ length: blockers }, (_, index) => ({
      project: 'harbour',
      database: `tidal-gauge-${index}`,
      code: 'PodUnschedulable',
      message: 'm'.repeat(200),
    })),
    ledger: { sequence: 117, hash: `sha256:${'4c'.repeat(32)}` },
    parts: Object.fromEntries(parts.map((part) => [part, { observedAt: '2026-01-31T12:00:00Z' }])),
  }
}

const bytesOf = (document: object) => Buffer.byteLength(JSON.stringify(document))

test('a region of 1,000 databases on 500 hosts is told whole, in 256 KiB, and in a tenth of that on the wire', (t) => {
  const document = withinBytes(documentWith({ hosts: 500, databases: 1_000 }))
  const told = JSON.stringify(withoutNulls(document))
  const [bytes, wire] = [bytesOf(document), gzipSync(told).byteLength]
  t.diagnostic(`${bytes} bytes, ${Buffer.byteLength(told)} as told to the cloud, ${wire} compressed`)
  assert.ok(bytes <= bounds.bytes, `${bytes} bytes`)
  assert.ok(wire <= bounds.bytes / 10, `${wire} bytes compressed`)
  assert.equal(document.leftOut, undefined)
})

test('whatever is in the cluster, the document stays within its bounds and says how much is left out', () => {
  const long = (index: number) => `${index}-`.padEnd(200, 'x')
  for (const given of [
    { hosts: 3, databases: 5_000 },
    { hosts: 5_000, databases: 0 },
    { hosts: 1_500, databases: 4_000, blockers: 900, name: long },
    { hosts: 499, databases: 1_999, blockers: 51 },
  ]) {
    const document = withinBytes(documentWith(given))
    assert.ok(bytesOf(document) <= bounds.bytes, `${bytesOf(document)} bytes of ${JSON.stringify(given)}`)
    const { hosts = 0, databaseStates = 0, blockers = 0 } = document.leftOut ?? {}
    assert.equal(document.hosts.length + hosts, given.hosts)
    assert.equal(Object.keys(document.databaseStates).length + databaseStates, given.databases)
    assert.equal(document.blockers.length + blockers, given.blockers ?? 3)
    assert.equal(document.databases, given.databases, 'the count is that of all')
  }
})

test('databases are left out before hosts, from the end of the list', () => {
  const document = withinBytes(documentWith({ hosts: 400, databases: 3_000 }))
  assert.equal(document.hosts.length, 400)
  const kept = Object.keys(document.databaseStates)
  assert.deepEqual(kept, Object.keys(documentWith({ hosts: 0, databases: 3_000 }).databaseStates).slice(0, kept.length))
})
