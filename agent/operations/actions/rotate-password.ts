import * as z from 'zod'
import type { BodyFault } from '../../../shared/errors.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { isUserSecret, usersOf, withoutUsers } from '../../resources/adopted.ts'
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
        const { spec, object } = databaseOfRequest(parts, asked)
        const neighbours = parts.caches.databases.in(namespaceOf(asked.target.project))
        refuseFaults(faultsOf(spec, user, object, neighbours))
        const chosen = given ?? asked.passwordAt('password')
        return {
          parameters: { user },
          secrets: { password: chosen },
          credentials: given === undefined ? [{ user, password: chosen }] : [],
          timeoutSeconds: seconds(parts.config.timeouts.password),
          plan: [stepOf(asked.target, { spec, object }, user, chosen)],
        }
      },
    }),
  ],
  work: { advance },
}

/** Why the password cannot be rotated; empty when it can. */
function faultsOf(
  spec: StoredDatabaseSpec,
  user: string,
  object: KubernetesObject | undefined,
  neighbours: readonly KubernetesObject[],
): BodyFault[] {
  if (!spec.users.some(({ name }) => name === user)) {
    const known = spec.users.map(({ name }) => name).join(', ') || 'none'
    return [
      {
        path: '/user',
        message: `is not a user that the database was created with (${known}); change others with SQL: ALTER USER "${user}" SET (password = …)`,
      },
    ]
  }
  const { name } = object ? referenceOf(object, user) : {}
  return [
    ...(object && !isUserSecret(name, spec.id) ? [{ path: '', message: misnamed(name, spec.id, user) }] : []),
    ...neighbours.filter((each) => usersOf(each) === undefined).map((each) => ({ path: '', message: withoutUsers(each) })),
    ...isSuspended(spec),
  ]
}

/** The Secret of a user, and the key in it. */
function referenceOf(cratedb: KubernetesObject, user: string): { name?: string; key?: string } {
  return usersOf(cratedb)?.find(({ name }) => name === user)?.password?.secretKeyRef ?? {}
}

function misnamed(name: string | undefined, database: string, user: string): string {
  return `the password of "${user}" is in the Secret ${name}, and the Crate Operator finds a database only by a name such as ${userSecretName(database, 0)}; change the password with SQL: ALTER USER "${user}" SET (password = …)`
}

type Present = { spec: StoredDatabaseSpec; object: KubernetesObject | undefined }

function stepOf(target: DatabaseTarget, { spec, object }: Present, user: string, chosen: string): Step {
  const index = spec.users.findIndex(({ name }) => name === user)
  const { name = userSecretName(target.database, index), key = 'password' } = object ? referenceOf(object, user) : {}
  const { metadata, ...secret } = secretObject(target, name, { [key]: toBase64(chosen) })
  const isOurs = object === undefined || object.metadata.labels?.['app.kubernetes.io/managed-by'] === 'skerry'
  return {
    name: 'rotate-password',
    consequences: ['New connections need the new password; those that are open stay.'],
    // The change is a patch: labels of another tool stay.
    objects: [{ ...secret, metadata: isOurs ? metadata : { ...metadata, labels: {} } }],
  }
}

/** The operator sets a password within a minute, unless something prevents it. In milliseconds. */
const slowMs = 60_000

async function advance(context: WorkContext<DatabaseTarget>): Promise<Progress> {
  const { operation } = context
  const { project, database } = context.target
  const current = await readCrateDB(context)
  const user = String(operation.spec.parameters?.user)
  const { name, key = 'password' } = current ? referenceOf(current, user) : {}
  if (name === undefined) return { next: 'failed', reason: 'NoSuchUser', message: `Database ${project}/${database} has no user "${user}".` }
  const ref = { kind: 'Secret' as const, namespace: namespaceOf(project), name }
  const secret = await context.cluster.read(ref)
  if (!secret) return { next: 'failed', reason: 'SecretMissing', message: `The Secret ${ref.namespace}/${ref.name} is gone.` }
  const password = Buffer.from((await context.secrets()).password ?? '').toString('base64')
  const isWritten = secret.data?.[key] === password
  const { startedAt } = operation.status?.step ?? {}
  const isSlow = startedAt !== undefined && context.clock.now() - Date.parse(startedAt) > slowMs
  // Lists the databases of the namespace: only before the change, and if that takes long.
  const unheard = isWritten && !isSlow ? undefined : await whyUnheard(context, secret)
  if (unheard) return { ...unheard, message: `${unheard.message}${isWritten ? ' The Secret already has the new password.' : ''}` }
  if (!operation.status?.step) await context.begin('rotate-password')
  if (!isWritten) {
    await context.cluster.patch(ref, { data: { [key]: password } })
    return { next: 'wait', recheckMs: 200 }
  }
  // No watch follows Secrets, so that their contents stay out of the agent's memory: this Secret is read at intervals.
  if (handledState(secret)?.data?.[key] !== password || isBeingHandled(secret.metadata.annotations)) {
    return {
      next: 'wait',
      message: 'The Crate Operator has not changed the password in the database yet.',
      recheckMs: isSlow ? 5_000 : 500,
    }
  }
  await context.finish()
  return { next: 'done', message: `User "${user}" has the new password.` }
}

/** Why the operator would not set a password that changes in this Secret. */
async function whyUnheard({ cluster, target }: WorkContext<DatabaseTarget>, secret: KubernetesObject) {
  const { namespace, name, labels } = secret.metadata
  const failed = { next: 'failed' as const, reason: 'OperatorIgnoresSecret' }
  if (!isUserSecret(name, target.database))
    return { ...failed, message: `The Crate Operator cannot find the database by the name of the Secret ${namespace}/${name}.` }
  if (labels?.[watched] !== 'true')
    return { ...failed, message: `The Crate Operator does not watch the Secret ${namespace}/${name}: it has no label ${watched}=true.` }
  const neighbours = await cluster.list('CrateDB', namespace)
  const without = neighbours.find((each) => usersOf(each) === undefined)
  return without && { ...failed, message: `The password was not changed: ${withoutUsers(without)}.` }
}

/** The operator sets it at the creation of a database on the Secrets of its users. */
const watched = 'operator.cloud.crate.io/user-password'

function isBeingHandled(annotations: Record<string, string> = {}): boolean {
  return Object.keys(annotations).some((name) => name.startsWith('operator.cloud.crate.io/secret_update'))
}
