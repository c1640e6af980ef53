import { handledState } from '../../resources/cratedb-run.ts'
import { userSecretName } from '../../resources/database-secrets.ts'
import { namespaceOf } from '../../resources/kind.ts'
import { databaseOf, readCrateDB } from './database-steps.ts'
import type { Work } from './work.ts'

/**
 * Gives a user of a database another password: the Secret gets it, the Crate Operator sees that and tells the database. It is
 * through when its own record of the Secret holds the new value.
 */
export const rotatePassword: Work = {
  async advance(context) {
    const { operation } = context
    const { project, database } = databaseOf(context)
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
    // No watch follows Secrets, so that their contents stay out of the agent's memory: this one is looked at.
    if (handledState(secret)?.data?.password !== password || isBeingHandled(secret.metadata.annotations)) {
      return { next: 'wait', message: 'The Crate Operator has not told the database yet.', recheckMs: 500 }
    }
    await context.finish()
    return { next: 'done', message: `User "${users[index]?.name}" has the new password.` }
  },
}

function isBeingHandled(annotations: Record<string, string> = {}): boolean {
  return Object.keys(annotations).some((name) => name.startsWith('operator.cloud.crate.io/secret_update'))
}
