import type { KubernetesObject } from '../../client/objects.ts'
import { parseQuantity } from '../quantity.ts'
import { type Call, Retry } from './handling.ts'
import { keyOfDatabase, type Operator } from './operator.ts'
import { startNodes, stopNodes } from './scale.ts'
import { nodeGroups } from './stateful-set.ts'
import { type SubHandler, schedule } from './sub-handlers.ts'

/** Stops the pods before volumes grow, unless the operator may expand volumes in use. A change of only the masters' disks stops none. */
export function suspendCluster(operator: Operator): SubHandler {
  return {
    id: 'suspend_cluster',
    className: 'SuspendClusterSubHandler',
    work: async (call) => (touchesData(call) ? stopNodes(operator, call, false) : undefined),
  }
}

/** It runs even if the volumes could not grow. */
export function startCluster(operator: Operator): SubHandler {
  return {
    id: 'start_cluster',
    className: 'StartClusterSubHandler',
    always: true,
    work: async (call) => (touchesData(call) ? startNodes(operator, call, false) : undefined),
  }
}

const touchesData = ({ diff }: Call): boolean => diff.some(({ path }) => path.join('.') === 'spec.nodes.data')

/** Requests larger volumes and waits until that is accepted; the expansion itself may take longer. */
export function expandVolume(operator: Operator): SubHandler {
  return {
    id: 'expand_volume',
    className: 'ExpandVolumeSubHandler',
    async work(call, run) {
      const { object, signal } = call
      const expansions = expansionsOf(call)
      const key = keyOfDatabase(object)
      operator.webhooks.feedback(key, 'in_progress', 'update', 'expand_storage', 'Resizing volume(s).')
      const open: string[] = []
      for (const { name, size } of expansions) {
        const bytes = parseQuantity(size)
        for (const claim of dataClaims(operator, key, name)) {
          if (parseQuantity(claim.spec.resources.requests.storage) !== bytes) {
            await operator.patch(
              'PersistentVolumeClaim',
              claim,
              { spec: { resources: { requests: { storage: String(Math.floor(bytes)) } } } },
              signal,
            )
          }
          if (!isAccepted(claim, bytes)) open.push(claim.metadata.name)
        }
      }
      if (open.length > 0) throw new Retry(`Resizing is still in progress for PVC ${open[0]}. Retrying... `)
      schedule(run, {
        event: 'feedback',
        status: 'success',
        payload: {
          message: 'The cluster storage has been resized successfully.',
          operation: 'update',
          action: 'expand_storage',
          disk_sizes: expansions.map(({ name, size }) => ({ name, new_disk_size: size })),
        },
      })
    },
  }
}

function expansionsOf({ object, old }: Call): { name: string; size: string }[] {
  const before = nodeGroups(object.metadata.name, old?.spec.nodes)
  return nodeGroups(object.metadata.name, object.spec.nodes)
    .map(({ name, spec }, index) => ({
      name,
      size: String(spec.resources.disk.size),
      was: String(before[index]?.spec.resources.disk.size),
    }))
    .filter(({ size, was }) => size !== was)
}

function dataClaims(operator: Operator, key: string, group: string): KubernetesObject[] {
  return operator.children.claims
    .of(key)
    .filter(({ metadata }) => metadata.labels?.['cloud.crate.io/node-name'] === group && metadata.name.startsWith('data'))
}

function isAccepted({ status }: KubernetesObject, bytes: number): boolean {
  if (status?.capacity?.storage !== undefined && parseQuantity(status.capacity.storage) === bytes) return true
  return (status?.conditions ?? []).some(({ type }: { type: string }) => type === 'Resizing' || type === 'FileSystemResizePending')
}
