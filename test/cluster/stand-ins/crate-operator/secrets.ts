import type { Collection } from '../../client/collection.ts'
import type { KubernetesObject } from '../../client/objects.ts'
import { isReady } from '../databases.ts'
import { refuseTerminatingNamespace } from './create.ts'
import type { Handlers } from './cycles.ts'
import { type Call, type Handler, Retry } from './handling.ts'
import { labels } from './objects.ts'
import type { Operator } from './operator.ts'

type User = { name: string; password: { secretKeyRef: { name: string; key: string } } }

/** Whether the operator handles a Secret: at bootstrap, it labels those of users. It keeps a copy of their data in an annotation. */
export function isUserPassword({ metadata }: KubernetesObject): boolean {
  return metadata.labels?.[labels.userPassword] === 'true'
}

/** Handles a changed password. */
export function secretHandlers(operator: Operator, databases: Collection): Handlers {
  const update: Handler = {
    id: 'secret_update',
    async run(call) {
      refuseTerminatingNamespace(operator, call.object)
      const { namespace, name } = call.object.metadata
      const cluster = name.replace(/^user-password-|-\d+$/g, '')
      operator.webhooks.feedback(`${namespace}/${cluster}`, 'in_progress', 'update', 'password_update', 'Updating password.')
      for (const { path } of call.diff) {
        for (const database of databases.values()) {
          if (database.metadata.namespace === namespace) registerUpdates(operator, call, database, cluster, path)
        }
      }
      return undefined
    },
  }
  return {
    kind: 'Secret',
    owned: [update.id],
    select: (_object, old) => (old === undefined ? [] : [update]),
    actionOf: () => 'password_update',
  }
}

function registerUpdates(operator: Operator, call: Call, database: KubernetesObject, cluster: string, path: string[]): void {
  // The real one assumes `users` in every CrateDB of the namespace: KeyError, again and again.
  if (!database.spec.users) throw new Retry("'users'", 'later')
  for (const user of database.spec.users as User[]) {
    const { name, key } = user.password.secretKeyRef
    if (name !== call.object.metadata.name || path.join('/') !== `data/${key}`) continue
    call.register({
      id: `update-${database.metadata.name}-${user.name}`,
      run: async (each) => alterUser(operator, each, database, cluster, user),
    })
  }
}

/** In the first pod of the cluster that the Secret's name contains. */
function alterUser(operator: Operator, { object }: Call, database: KubernetesObject, cluster: string, { name, password }: User): undefined {
  const { namespace = '' } = object.metadata
  const [group] = database.spec.nodes.data
  const podName = database.spec.nodes.master ? `crate-master-${cluster}-0` : `crate-data-${group.name}-${cluster}-0`
  const pod = operator.get('Pod', namespace, podName)
  if (!operator.options.withoutPods && !(pod && isReady(pod))) throw new Retry(undefined, 'later')
  const key = `${namespace}/${cluster}`
  const data = object.data?.[password.secretKeyRef.key] ?? ''
  operator.databases.state(key).users.set(name, { password: Buffer.from(data, 'base64').toString() })
  operator.webhooks.feedback(key, 'success', 'update', 'password_update', 'Password updated successfully.')
  return undefined
}
