import type { KubernetesObject } from '../../client/objects.ts'
import { refuseTerminatingNamespace } from './create.ts'
import type { FieldHandler } from './fields.ts'
import { type Call, type Handler, Refusal, Retry } from './handling.ts'
import { fieldManager, isSince, keyOfDatabase, type Operator } from './operator.ts'
import { afterClusterUpdate, beforeClusterUpdate, reach } from './pauses.ts'
import { flush, type Run, registerChain, type SubHandler, schedule } from './sub-handlers.ts'
import { md5 } from './traces.ts'

const field = ['spec', 'cluster', 'restoreSnapshot']
const id = `cluster_restore/${field.join('.')}`

/** The settings of a repository by provider, as CrateDB names them. */
const settings = {
  aws: { accessKeyId: 'access_key', basePath: 'base_path', bucket: 'bucket', secretAccessKey: 'secret_key' },
  azure_blob: { accountKey: 'key', accountName: 'account', basePath: 'base_path', container: 'container' },
}

/** Restores a snapshot if one is named. */
export function clusterRestore(operator: Operator): FieldHandler {
  return {
    id,
    field,
    when: (value) => Boolean((value as { snapshot?: string } | undefined)?.snapshot),
    async run(call) {
      const { object, patch, diff, started } = call
      refuseTerminatingNamespace(operator, object)
      const run: Run = { ref: md5(JSON.stringify(diff) + started), context: { ...object.status?.[id] } }
      run.context.ref = run.ref
      const [before, prepare, ...others] = links(operator, run) as [SubHandler, SubHandler, ...SubHandler[]]
      registerChain(operator, call, run, [before, { ...prepare, dependsOn: [] }, ...others])
      patch.status[id] = run.context
      return undefined
    },
  }
}

function links(operator: Operator, run: Run): SubHandler[] {
  return [
    beforeClusterUpdate(operator),
    { id: 'before_restore_backup', className: 'BeforeRestoreBackupSubHandler', work: async (call) => prepare(operator, call) },
    { id: 'restore_backup_data', className: 'RestoreBackupSubHandler', work: async ({ object }) => restoreData(operator, object) },
    { id: 'restore_system_user_password', className: 'RestoreInternalUsersPasswordSubHandler', always: true, work: async () => {} },
    { id: 'restore_user_jwt_auth', className: 'RestoreUserJWTAuthSubHandler', work: async () => {} },
    { id: 'validate_restore_complete', className: 'ValidateRestoreCompleteSubHandler', work: async () => {} },
    { id: 'restore_internal_tables', className: 'RestoreInternalTablesSubHandler', always: true, work: async () => {} },
    { id: 'after_restore_backup', className: 'AfterRestoreBackupSubHandler', always: true, work: async (call) => cleanUp(operator, call) },
    afterClusterUpdate(operator),
    {
      id: 'send_success_notification',
      className: 'SendSuccessNotificationSubHandler',
      async work() {
        const message = 'The snapshot has been restored successfully.'
        schedule(run, { event: 'feedback', status: 'success', payload: { message, operation: 'update', action: 'restore_snapshot' } })
      },
    },
    {
      id: 'flush_notifications',
      className: 'FlushNotificationsSubHandler',
      always: true,
      work: async (call) => flush(operator, call, run),
    },
    { id: 'reset_snapshot', className: 'ResetSnapshotSubHandler', always: true, work: (call) => resetSnapshot(operator, call) },
  ]
}

async function prepare(operator: Operator, call: Call): Promise<void> {
  const key = keyOfDatabase(call.object)
  operator.webhooks.feedback(key, 'in_progress', 'update', 'restore_snapshot', 'Preparing to restore data from snapshot.')
  call.register({
    id: 'prepare_cluster_settings',
    async run({ object, patch }) {
      reach(operator, object)
      Object.assign(patch.status, { maxBytesPerSec: '40mb', clusterConcurrentRebalance: 2 })
      return undefined
    },
  })
  call.register(scaleBackupMetrics(operator, 'suspend_backup_metrics', 0))
}

/** Unlike suspending, restoring assumes that the Deployment exists: without backups it waits here forever. */
function scaleBackupMetrics(operator: Operator, partId: string, replicas: number): Handler {
  return {
    id: partId,
    async run({ object, signal }) {
      const { namespace = '', name } = object.metadata
      const metadata = { namespace, name: `backup-metrics-${name}` }
      const patched = await operator.patch('Deployment', { metadata }, { spec: { replicas } }, signal)
      if (!patched) throw new Retry(`(404)\nReason: Not Found\ndeployments.apps "${metadata.name}" not found`, 'later')
      return undefined
    },
  }
}

function restoreData(operator: Operator, object: KubernetesObject): void {
  const { restoreSnapshot } = object.spec.cluster
  const provider = (restoreSnapshot.backupProvider ?? 'aws') as keyof typeof settings
  const repository: Record<string, string> = {}
  for (const [field, setting] of Object.entries(settings[provider])) {
    const value = secretValue(operator, object, field)
    if (value === undefined) throw new Refusal(`Key ${field} not found in secret.`)
    repository[setting] = value
  }
  // Before 2.64.0, the address is ignored, whatever the CRD accepts. Since then it may be missing.
  const endpoint = provider === 'aws' && isSince(operator, [2, 64]) ? secretValue(operator, object, 'endpointUrl') : undefined
  if (endpoint !== undefined) repository.endpoint = endpoint
  const { snapshots, repositories } = operator.databases.state(keyOfDatabase(object))
  repositories.push(repository)
  if (snapshots && !snapshots.has(restoreSnapshot.snapshot)) {
    const name = `restore_backup_${Math.floor(operator.world.clock.now() / 1000)}`
    throw new Refusal(`Snapshot ${restoreSnapshot.snapshot} does not exist in repository ${name}.`)
  }
}

/** The value behind a reference in the request; undefined if the reference or the key is missing. */
function secretValue(operator: Operator, { metadata, spec }: KubernetesObject, field: string): string | undefined {
  const { name, key = '' } = spec.cluster.restoreSnapshot[field]?.secretKeyRef ?? {}
  if (name === undefined) return undefined
  const secret = operator.get('Secret', metadata.namespace ?? '', name)
  if (!secret) throw new Refusal(`Secret ${name} could not be found.`)
  const value = secret.data?.[key]
  return value ? Buffer.from(value, 'base64').toString() : undefined
}

async function cleanUp(operator: Operator, call: Call): Promise<void> {
  call.register({ id: 'reset_cluster_settings', run: async () => undefined })
  call.register({ id: 'drop_backup_repository', run: async () => undefined })
  call.register({
    id: 'delete_secret',
    async run({ object, signal }) {
      await operator.remove('Secret', object.metadata.namespace ?? '', `restore-from-backup-${object.metadata.name}`, signal)
      return undefined
    },
  })
  call.register(scaleBackupMetrics(operator, 'restart_backup_metrics', 1))
}

/** Empties the name and removes the choice in a separate JSON patch, so that the same snapshot can be requested again. */
async function resetSnapshot(operator: Operator, { object, signal }: Call): Promise<void> {
  const path = '/spec/cluster/restoreSnapshot'
  const present = ['type', 'tables', 'sections', 'partitions'].filter((key) => key in object.spec.cluster.restoreSnapshot)
  const removals = present.map((key) => ({ op: 'remove' as const, path: `${path}/${key}` }))
  const reset = { op: 'replace' as const, path: `${path}/snapshot`, value: '' }
  await operator.world.patchJson('CrateDB', object.metadata, [reset, ...removals], { fieldManager, signal })
}
