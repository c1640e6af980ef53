import * as z from 'zod'
import { ask, below, type CredentialOptions, jsonOf } from './http-access.ts'
import { CheckFailure } from './reasons.ts'
import type { TlsOptions } from './tls.ts'
import { shorten } from './wording.ts'

const answer = z.object({
  rows: z.array(z.array(z.unknown())).max(20_000).optional(),
  error: z.object({ code: z.number().optional(), message: z.string() }).optional(),
})

/** The address of a CrateDB that answers SQL over HTTP, and the credentials for it. */
export type CrateSql = TlsOptions & CredentialOptions & { url: string }

/**
 * The rows of one statement, read from CrateDB's HTTP endpoint `/_sql`.
 * @throws CheckFailure with CrateDB's own message, or as `ask` does
 */
export async function crateRows(options: CrateSql, statement: string, signal: AbortSignal): Promise<unknown[][]> {
  const response = await ask(options, {
    url: below(options.url.replace(/\/_sql\/?$/, ''), '/_sql'),
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ stmt: statement }),
    signal,
  })
  // An error of CrateDB comes in the same shape, with status 4xx or 5xx.
  const { rows, error } = await jsonOf(response, answer, { statuses: [200, 400, 404, 409, 500, 503], what: '/_sql' })
  if (rows !== undefined) return rows
  // CrateDB's codes: 4010 and 4011 are missing privileges; 5xxx is a failure of the cluster, such as a missing master.
  const code = error?.code ?? 0
  const reason = code === 4011 || code === 4010 ? 'unauthorized' : code >= 5000 || response.status >= 500 ? 'failing' : 'unexpected_answer'
  const next = reason === 'unauthorized' ? "Grant the check's user DQL on schema sys." : "See the logs of the database's pods."
  throw new CheckFailure(reason, `CrateDB says: ${shorten(error?.message ?? `status ${response.status}`, 200)}. ${next}`)
}

/** Bytes of the file systems that hold a node's data. */
export type NodeDisk = { node: string; used: number; size: number }

/** The disks of each node. A node that does not know its own (-1) is left out. */
export async function crateDisks(options: CrateSql, signal: AbortSignal): Promise<NodeDisk[]> {
  const rows = await crateRows(
    options,
    "SELECT name, fs['total']['used'], fs['total']['size'] FROM sys.nodes ORDER BY name LIMIT 1000",
    signal,
  )
  return rows
    .map(([node, used, size]) => ({ node: String(node), used: Number(used), size: Number(size) }))
    .filter(({ used, size }) => used >= 0 && size > 0)
}
