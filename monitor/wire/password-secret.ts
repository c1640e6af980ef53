import * as z from 'zod'
import { Secret } from '../../shared/fields.ts'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { type ApiServer, needApiServer } from './api-server.ts'
import { jsonOf } from './http-access.ts'
import { CheckFailure } from './reasons.ts'

const name = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'must be a name in Kubernetes')

/** A password that is kept in the cluster. Spread into the options of a kind beside `httpFields`. */
export const passwordSecretFields = {
  passwordSecret: z
    .strictObject({
      namespace: name.describe('Its namespace.'),
      name: name.describe('Its name.'),
      key: z.string().min(1).max(253).default('password').describe('The key that holds the password.'),
    })
    .optional()
    .describe("A Secret in the cluster that holds the user's password, instead of passwordFile. It is read for each run and not kept."),
}

/** The output of `passwordSecretFields`, and where the password goes. */
type Options = {
  username?: string | undefined
  passwordSecret?: { namespace: string; name: string; key: string } | undefined
  passwordFile?: Secret | undefined
}

const secret = z.object({ data: z.record(z.string(), z.string()).default({}) })

/**
 * The options with the current password, if they refer to a Secret.
 * @throws CheckFailure that names the Secret if it is missing or may not be read
 */
export async function withPassword<T extends Options>(
  options: T,
  { apiServer, signal }: { apiServer?: ApiServer; signal: AbortSignal },
): Promise<T> {
  const { passwordSecret } = options
  if (passwordSecret === undefined) return options
  const { namespace, name, key } = passwordSecret
  const answer = await needApiServer(apiServer).get(pathOf(kinds.Secret, namespace, name), {
    signal,
    accept: 'application/json',
    kept: true,
  })
  if (answer.status === 401 || answer.status === 403)
    throw new CheckFailure(
      'unauthorized',
      `The monitor may not read the password. Grant it "get secrets" for ${namespace}/${name} with a Role; in the namespace of a project the agent does that.`,
    )
  if (answer.status === 404)
    throw new CheckFailure(
      'missing',
      `The Secret ${namespace}/${name} with the password does not exist. Check whether it has been created yet.`,
    )
  const value = (await jsonOf(answer, secret, { what: `the Secret ${namespace}/${name}` })).data[key]
  if (value === undefined) throw new CheckFailure('missing', `The Secret ${namespace}/${name} has no key ${key}.`)
  return { ...options, passwordFile: new Secret({ value: Buffer.from(value, 'base64').toString('utf8') }) }
}
