import * as z from 'zod'
import type { Fault } from '../../../shared/errors.ts'
import { handledState } from '../../resources/cratedb-run.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { secretObject, toBase64, userSecretName } from '../../resources/database-secrets.ts'
import { password, userName } from '../../resources/identifiers.ts'
import { type DatabaseTarget, namespaceOf, type Step } from '../../resources/kind.ts'
import { isSuspended, refuseFaults, seconds } from '../deciding/decision.ts'
import { databaseOfRequest } from '../deciding/present.ts'
import type { Progress, WorkContext } from '../work/context.ts'
import { readCrateDB } from '../work/database-steps.ts'
import { type Action, databaseRequest } from './action.ts'

const body = z
  .strictObject({
    user: userName.describe('Which user; one of those that the database was created with').meta({ example: 'harbourmaster' }),
    password: password
      .optional()
      .describe('The new password; if left out, one is generated and returned once')
      .meta({ example: 'correct horse battery staple', writeOnly: true }),
  })
  .describe('A new password for a user')

/**
 * Changes the password of one of the users that a database was created with. The Secret gets the password, and the Crate Operator sets it in
 * the database. The operation is done when the operator's record of the Secret contains the new value.
 */
export const rotatePassword: Action<DatabaseTarget> = {
  name: 'rotate-password',
  phase: 'Updating',
  requests: [
    databaseRequest({
      method: 'POST',
      operationId: 'rotatePassword',
      summary: 'Changes the password of a user',
      description: 'A password that is left out is generated and returned once, in this answer.',
      body,
      example: { user: 'harbourmaster' },
      asksForState: false,
      decide(parts, asked) {
        const { user, password: given } = asked.body
        const { spec } = databaseOfRequest(parts, asked)
        refuseFaults(faultsOf(spec, user))
        const chosen = given ?? asked.passwordAt('password')
        return {
          parameters: { user },
          secrets: { password: chosen },
          credentials: given === undefined ? [{ user, password: chosen }] : [],
          timeoutSeconds: seconds(parts.config.timeouts.password),
          plan: [stepOf(asked.target, spec, user, chosen)],
        }
      },
    }),
  ],
  work: { advance },
}

/** Why the password cannot be rotated; empty when it can. */
function faultsOf(spec: StoredDatabaseSpec, user: string): Fault[] {
  if (!spec.users.some(({ name }) => name === user)) {
    const known = spec.users.map(({ name }) => name).join(', ') || 'none'
    return [
      {
        path: '/user',
        message: `is not a user that the database was created with (${known}); change others with SQL: ALTER USER "${user}" SET (password = …)`,
      },
    ]
  }
  return isSuspended(spec)
}

function stepOf(target: DatabaseTarget, { users }: StoredDatabaseSpec, user: string, chosen: string): Step {
  const index = users.findIndex(({ name }) => name === user)
  return {
    name: 'rotate-password',
    consequences: ['New connections need the new password; those that are open stay.'],
    objects: [secretObject(target, userSecretName(target.database, index), { password: toBase64(chosen) })],
  }
}

async function advance(context: WorkContext<DatabaseTarget>): Promise<Progress> {
  const { operation } = context
  const { project, database } = context.target
  const current = await readCrateDB(context)
  const users: { name: string }[] = current?.spec.users ?? []
  const index = users.findIndex(({ name }) => name === operation.spec.parameters?.user)
  if (index === -1)
    return {
      next: 'failed',
      reason: 'NoSuchUser',
      message: `Database ${project}/${database} has no user "${operation.spec.parameters?.user}".`,
    }
  const ref = { kind: 'Secret' as const, namespace: namespaceOf(project), name: userSecretName(database, index) }
  const secret = await context.cluster.read(ref)
  if (!secret) return { next: 'failed', reason: 'SecretMissing', message: `The Secret ${ref.namespace}/${ref.name} is gone.` }
  const password = Buffer.from((await context.secrets()).password ?? '').toString('base64')
  if (!operation.status?.step) await context.begin('rotate-password')
  if (secret.data?.password !== password) {
    await context.cluster.patch(ref, { data: { password } })
    return { next: 'wait', recheckMs: 200 }
  }
  // No watch follows Secrets, so that their contents stay out of the agent's memory: this Secret is read at intervals.
  if (handledState(secret)?.data?.password !== password || isBeingHandled(secret.metadata.annotations)) {
    return { next: 'wait', message: 'The Crate Operator has not changed the password in the database yet.', recheckMs: 500 }
  }
  await context.finish()
  return { next: 'done', message: `User "${users[index]?.name}" has the new password.` }
}

function isBeingHandled(annotations: Record<string, string> = {}): boolean {
  return Object.keys(annotations).some((name) => name.startsWith('operator.cloud.crate.io/secret_update'))
}
