import { valueAt } from './diff.ts'
import type { Call, Handler } from './handling.ts'
import { keyOfDatabase, type Operator } from './operator.ts'

/** A handler of one field: it runs whenever the field differs, and at creation if the field exists. */
export type FieldHandler = Handler & { field: string[]; when?(value: unknown): boolean }

/** Whether the field differs between the last handled state and the current one. */
export function isConcerned({ field, when }: FieldHandler, old: unknown, next: unknown): boolean {
  const now = valueAt(next, field)
  return JSON.stringify(valueAt(old, field)) !== JSON.stringify(now) && (when?.(now) ?? true)
}

/** The list of addresses that may connect, on the Service of a load balancer. */
export function cidrChanges(operator: Operator): FieldHandler {
  const field = ['spec', 'cluster', 'allowedCIDRs']
  return {
    id: `service_cidr_changes/${field.join('.')}`,
    field,
    async run({ object, signal }) {
      const key = keyOfDatabase(object)
      operator.webhooks.feedback(key, 'in_progress', 'update', 'allowed_cidr_update', 'Updating IP Network Whitelist.')
      const service = operator.get('Service', object.metadata.namespace ?? '', `crate-${object.metadata.name}`)
      if (service?.spec.type === 'LoadBalancer') {
        await operator.patch('Service', service, { spec: { loadBalancerSourceRanges: object.spec.cluster.allowedCIDRs ?? [] } }, signal)
      }
      operator.webhooks.feedback(key, 'success', 'update', 'allowed_cidr_update', 'IP Network Whitelist updated successfully.')
      return undefined
    },
  }
}

/** The schedule of the backups, only of those on AWS. */
export function backupSchedule(operator: Operator): FieldHandler {
  const field = ['spec', 'backups', 'aws', 'cron']
  return {
    id: `service_backup_schedule_update/${field.join('.')}`,
    field,
    async run({ object, diff, signal }: Call) {
      if (!diff.some(({ operation, path }) => operation === 'change' && path.join('.') === field.join('.'))) return undefined
      const schedule = object.spec.backups.aws.cron as string
      const name = `create-snapshot-${object.metadata.name}`
      const payload = { backup_schedule: schedule }
      operator.webhooks.send(keyOfDatabase(object), { event: 'backup_schedule_update', status: 'in_progress', payload })
      await operator.patch(
        'CronJob',
        { metadata: { namespace: object.metadata.namespace as string, name } },
        { spec: { schedule } },
        signal,
      )
      operator.webhooks.send(keyOfDatabase(object), { event: 'backup_schedule_update', status: 'success', payload })
      return undefined
    },
  }
}
