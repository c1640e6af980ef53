import * as z from 'zod'
import { type CrateSql, crateDisks, crateRows, type NodeDisk } from '../wire/crate-sql.ts'
import { httpFields, httpUrl, targetOfUrl } from '../wire/http-access.ts'
import { passwordSecretFields, withPassword } from '../wire/password-secret.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { count, percent, shorten, someOf } from '../wire/wording.ts'
import { checkKind, type Finding, type Measurement, resultOf } from './kind.ts'

const options = z.strictObject({
  url: httpUrl.describe("CrateDB's HTTP address, such as http://crate.example.com:4200."),
  expectNodes: z.int().min(1).optional().describe('Degraded when the cluster has fewer nodes.'),
  ...httpFields,
  ...passwordSecretFields,
})

const watermarks = ['low', 'high', 'flood_stage'] as const

/** Up when every table is GREEN, no node is missing, and no disk is beyond the low watermark. */
export const cratedb = checkKind({
  about:
    "Queries `sys.health`, `sys.nodes`, the disk watermarks and the failed `sys.checks`, by SQL over HTTP. Down when a table is RED (data is missing) or a disk is beyond the flood stage (its tables are read-only). Degraded when a table is YELLOW, a node is missing, a disk is beyond the low or high watermark, or one of CrateDB's own checks of high severity has failed.",
  example: { url: 'http://crate.example.com:4200', username: 'monitor', passwordFile: '/etc/skerry/crate-password', expectNodes: 3 },
  options,
  measures: {
    skerry_cratedb_tables: { type: 'gauge', help: 'Tables and partitions, by health: green, yellow, red.', labels: ['health'] },
    skerry_cratedb_missing_shards: { type: 'gauge', help: 'Missing primary shards, whose data cannot be read.' },
    skerry_cratedb_underreplicated_shards: { type: 'gauge', help: 'Shards with fewer copies than configured.' },
    skerry_cratedb_nodes: { type: 'gauge', help: 'Nodes of the cluster.' },
    skerry_cratedb_disk_used_bytes: { type: 'gauge', help: "Bytes used on a node's disks.", labels: ['node'] },
    skerry_cratedb_disk_size_bytes: { type: 'gauge', help: "Size of a node's disks.", labels: ['node'] },
    skerry_cratedb_failed_checks: {
      type: 'gauge',
      help: 'Failed rows of sys.checks, by severity: 1 low, 2 medium, 3 high.',
      labels: ['level'],
    },
  },
  target: ({ url }) => targetOfUrl(url),
  async check(given, context) {
    const options = await withPassword(given, context)
    const { signal } = context
    const measurements: Measurement[] = []
    const disks = await crateDisks(options, signal)
    const nodes = Number((await crateRows(options, 'SELECT count(*) FROM sys.nodes', signal))[0]?.[0] ?? 0)
    if (!(nodes >= 1)) throw new CheckFailure('protocol', 'The server counts no nodes, not even itself. Is this CrateDB?')
    measurements.push({ name: 'skerry_cratedb_nodes', value: nodes })
    for (const { node, used, size } of disks) {
      measurements.push({ name: 'skerry_cratedb_disk_used_bytes', labels: { node }, value: used })
      measurements.push({ name: 'skerry_cratedb_disk_size_bytes', labels: { node }, value: size })
    }
    const findings = [
      ...(await tables(options, signal, measurements)),
      ...judgeDisks(disks, await marks(options, signal)),
      ...(await ownChecks(options, signal, measurements)),
    ]
    if (options.expectNodes !== undefined && nodes < options.expectNodes)
      findings.push({
        reason: 'partly_unavailable',
        text: `Only ${nodes} of ${options.expectNodes} nodes belong to the cluster; see the pods that are not ready`,
      })
    return resultOf(findings, `${count(nodes, 'node')}, all tables GREEN.`, measurements)
  },
})

async function tables(options: CrateSql, signal: AbortSignal, measurements: Measurement[]): Promise<Finding[]> {
  const rows = await crateRows(
    options,
    'SELECT health, count(*), sum(missing_shards), sum(underreplicated_shards) FROM sys.health GROUP BY health',
    signal,
  )
  const of = (health: string) => Number(rows.find(([name]) => name === health)?.[1] ?? 0)
  const sum = (column: number) => rows.reduce((total, row) => total + Number(row[column] ?? 0), 0)
  const [green, yellow, red, missing, under] = [of('GREEN'), of('YELLOW'), of('RED'), sum(2), sum(3)]
  for (const [health, value] of Object.entries({ green, yellow, red }))
    measurements.push({ name: 'skerry_cratedb_tables', labels: { health }, value })
  measurements.push(
    { name: 'skerry_cratedb_missing_shards', value: missing },
    { name: 'skerry_cratedb_underreplicated_shards', value: under },
  )
  if (yellow + red === 0) return []
  const sick = await crateRows(
    options,
    "SELECT table_schema || '.' || table_name, health FROM sys.health WHERE health != 'GREEN' ORDER BY severity DESC LIMIT 6",
    signal,
  )
  const names = someOf(sick.map(([name, health]) => `${name} ${health}`))
  if (red > 0)
    return [
      {
        state: 'down',
        reason: 'failing',
        text: `${count(missing, 'primary shard')} missing (${names}); bring back the nodes that hold them, or restore a snapshot`,
      },
    ]
  return [
    {
      reason: 'partly_unavailable',
      text: `${count(under, 'shard')} with too few copies (${names}); check whether a node is missing or a disk is full`,
    },
  ]
}

type Marks = Partial<Record<(typeof watermarks)[number], (disk: NodeDisk) => boolean>>

/** The watermarks, as tests of a disk. Each is configured as a share (`85%`, `0.85`) or as free space (`500gb`). */
async function marks(options: CrateSql, signal: AbortSignal): Promise<Marks> {
  const path = "settings['cluster']['routing']['allocation']['disk']['watermark']"
  const [row = []] = await crateRows(
    options,
    `SELECT ${watermarks.map((mark) => `${path}['${mark}']`).join(', ')} FROM sys.cluster`,
    signal,
  )
  const found: Marks = {}
  for (const [index, mark] of watermarks.entries()) {
    const test = parseWatermark(String(row[index] ?? ''))
    if (test !== undefined) found[mark] = test
  }
  return found
}

/** CrateDB's text for a watermark, as a test whether a disk is beyond it; undefined if the text is no watermark. */
function parseWatermark(text: string): ((disk: NodeDisk) => boolean) | undefined {
  const match = /^(\d+(?:\.\d+)?)(%|b|k|kb|m|mb|g|gb|t|tb|p|pb)?$/.exec(text.trim().toLowerCase())
  if (match === null) return undefined
  const number = Number(match[1])
  const unit = match[2]
  if (unit === undefined || unit === '%') {
    const share = unit === '%' ? number / 100 : number
    return ({ used, size }) => used / size >= share
  }
  const free = number * 1024 ** 'bkmgtp'.indexOf(unit.charAt(0))
  return ({ used, size }) => size - used <= free
}

function judgeDisks(disks: NodeDisk[], marks: Marks): Finding[] {
  const beyond = (mark: keyof Marks) =>
    disks.filter((disk) => marks[mark]?.(disk)).map(({ node, used, size }) => `${node} ${percent(used / size)}`)
  const [flooded, high, low] = [beyond('flood_stage'), beyond('high'), beyond('low')]
  const room = 'enlarge the disks or delete data'
  if (flooded.length > 0)
    return [
      {
        state: 'down',
        reason: 'limit',
        text: `Disks are beyond the flood stage, so their tables are read-only (${someOf(flooded)}); ${room}`,
      },
    ]
  if (high.length > 0)
    return [
      {
        reason: 'limit',
        text: `Disks are beyond the high watermark, so their shards move away (${someOf(high)}); ${room}`,
      },
    ]
  if (low.length > 0)
    return [{ reason: 'limit', text: `Disks are beyond the low watermark and take no new shards (${someOf(low)}); ${room}` }]
  return []
}

async function ownChecks(options: CrateSql, signal: AbortSignal, measurements: Measurement[]): Promise<Finding[]> {
  const rows = await crateRows(options, 'SELECT severity, description FROM sys.checks WHERE passed = FALSE LIMIT 100', signal)
  for (const severity of [1, 2, 3])
    measurements.push({
      name: 'skerry_cratedb_failed_checks',
      labels: { level: String(severity) },
      value: rows.filter(([given]) => given === severity).length,
    })
  return rows
    .filter(([severity]) => severity === 3)
    .slice(0, 2)
    .map(([, description]) => ({ reason: 'failing', text: shorten(String(description), 160) }))
}
