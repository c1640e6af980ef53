import * as z from 'zod'
import { ask, below, type CredentialOptions, jsonOf, type TlsOptions } from './http-access.ts'
import { CheckFailure } from './reasons.ts'
import { shorten } from './wording.ts'

const answer = z.object({
  rows: z.array(z.array(z.unknown())).optional(),
  error: z.object({ code: z.number().optional(), message: z.string() }).optional(),
})

/** Where a CrateDB answers SQL over HTTP, and who asks. */
export type CrateSql = TlsOptions & CredentialOptions & { url: string }

/**
 * The rows of one statement, by CrateDB's HTTP endpoint `/_sql`.
 * @throws CheckFailure with CrateDB's own message, and as `ask` does
 */
export async function crateRows(options: CrateSql, statement: string, signal: AbortSignal): Promise<unknown[][]> {
  const response = await ask(options, {
    url: below(options.url.replace(/\/_sql\/?$/, ''), '/_sql'),
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ stmt: statement }),
    signal,
  })
  // CrateDB answers 4xx and 5xx with its error in the same shape.
  const { rows, error } = jsonOf(response, answer, { statuses: [200, 400, 404, 409, 500, 503], what: '/_sql' })
  if (rows !== undefined) return rows
  // Codes of CrateDB: 4011 the user may not do this; 5xxx the cluster itself cannot, such as without a master.
  const code = error?.code ?? 0
  const reason = code === 4011 || code === 4010 ? 'unauthorized' : code >= 5000 || response.status >= 500 ? 'failing' : 'unexpected_answer'
  const next = reason === 'unauthorized' ? "Grant DQL on schema sys to the check's user." : "See the logs of the database's pods."
  throw new CheckFailure(reason, `CrateDB says: ${shorten(error?.message ?? `status ${response.status}`, 200)}. ${next}`)
}

/** Bytes of the file systems that one node keeps its data on. */
export type NodeDisk = { node: string; used: number; size: number }

/** What each node says of its disks. Nodes that do not know (-1) are left out. */
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
