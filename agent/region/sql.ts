import { boundedText } from '../../shared/bounded-text.ts'
import { Problem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import { namespaceOf } from '../resources/kind.ts'

/** The result of a statement: one array of values for each row. */
type SqlResult = { cols: string[]; rows: unknown[][] }

/** Runs SQL in databases of the region over CrateDB's HTTP endpoint, as the operator's user `system`. */
export type DatabaseSql = {
  /** @throws Problem `database-unreachable` without an answer or the password, `database-refused` with CrateDB's message */
  query(database: { project: string; database: string }, statement: string, args?: unknown[]): Promise<SqlResult>
}

/** Timeout of a statement, in milliseconds. */
const timeoutMs = 10_000
/** What the agent asks for are a few rows. A database belongs to its users, so it may answer anything. */
const maxAnswerBytes = 1024 * 1024

/** @param sqlUrl the URL of a database, with the placeholders `{namespace}` and `{database}` */
export function createDatabaseSql({ sqlUrl }: { sqlUrl: string }, { cluster }: { cluster: Cluster }): DatabaseSql {
  async function passwordOf(namespace: string, database: string): Promise<string> {
    const name = `user-system-${database}`
    const secret = await readObject(cluster, pathOf(kinds.Secret, namespace, name))
    if (!secret) throw new Problem('database-unreachable', `The Crate Operator has not made the Secret ${namespace}/${name} yet.`)
    return Buffer.from(secret.data?.password ?? '', 'base64').toString('utf8')
  }

  return {
    async query({ project, database }, stmt, args = []) {
      const namespace = namespaceOf(project)
      const password = await passwordOf(namespace, database)
      const url = sqlUrl.replaceAll('{namespace}', namespace).replaceAll('{database}', database)
      const what = `database ${project}/${database}`
      let answer: Response
      let body: Partial<SqlResult> & { error?: { message?: string } }
      try {
        answer = await fetch(url, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            authorization: `Basic ${Buffer.from(`system:${password}`).toString('base64')}`,
          },
          body: JSON.stringify({ stmt, args }),
          redirect: 'error',
          signal: AbortSignal.timeout(timeoutMs),
        })
        body = (JSON.parse(await boundedText(answer, maxAnswerBytes)) ?? {}) as typeof body
      } catch (error) {
        throw new Problem('database-unreachable', `${what} does not answer.`, { cause: error })
      }
      if (!answer.ok) throw new Problem('database-refused', `${what}: ${body.error?.message?.slice(0, 1000) ?? `status ${answer.status}`}`)
      return { cols: body.cols ?? [], rows: body.rows ?? [] }
    },
  }
}
