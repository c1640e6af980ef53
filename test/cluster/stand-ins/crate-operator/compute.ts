import { keyOfDatabase, type Operator } from './operator.ts'
import { changedGroups } from './restart.ts'
import { containerResources, heapSize, nodeGroups, processors, statefulSet } from './stateful-set.ts'
import { type SubHandler, schedule } from './sub-handlers.ts'

/** Sets the new resources in the StatefulSets of the changed groups. Pods get them when they restart. */
export function changeCompute(operator: Operator): SubHandler {
  return {
    id: 'change_compute',
    className: 'ChangeComputeSubHandler',
    async work({ object, old, signal }) {
      operator.webhooks.send(keyOfDatabase(object), {
        event: 'compute_changed',
        status: 'in_progress',
        payload: payloadOf(old?.spec.nodes, object.spec.nodes),
      })
      const groups = nodeGroups(object.metadata.name, object.spec.nodes)
      for (const group of changedGroups(old?.spec.nodes, groups, object)) {
        const set = operator.get('StatefulSet', object.metadata.namespace ?? '', group.setName)
        if (!set) continue
        const { affinity, tolerations } = statefulSet(object, group, { debugVolume: operator.debugVolume() }).spec.template.spec
        const [crate, ...others] = set.spec.template.spec.containers
        const changed = {
          ...crate,
          command: crate.command.map((argument: string) =>
            argument.startsWith('-Cprocessors=') ? processors(group.spec.resources) : argument,
          ),
          env: crate.env.map((each: { name: string }) =>
            each.name === 'CRATE_HEAP_SIZE' ? { ...each, value: heapSize(group.spec.resources) } : each,
          ),
          resources: containerResources(group.spec.resources),
        }
        const cleared = { nodeAffinity: null, podAntiAffinity: null, ...affinity }
        const template = { spec: { containers: [changed, ...others], affinity: cleared, tolerations } }
        await operator.patch('StatefulSet', set, { spec: { template } }, signal)
      }
    },
  }
}

export function afterChangeCompute(): SubHandler {
  return {
    id: 'after_change_compute',
    className: 'AfterChangeComputeSubHandler',
    async work({ object, old }, run) {
      schedule(run, { event: 'compute_changed', status: 'success', payload: payloadOf(old?.spec.nodes, object.spec.nodes) })
    },
  }
}

/** Old and new compute of the first data group and of the masters. */
// biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
function payloadOf(before: any, now: any): Record<string, unknown> {
  // biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
  const fields = (prefix: string, { resources, nodepool }: any) => ({
    [`${prefix}cpu_limit`]: resources?.limits?.cpu ?? null,
    [`${prefix}memory_limit`]: resources?.limits?.memory ?? null,
    [`${prefix}cpu_request`]: resources?.requests?.cpu ?? null,
    [`${prefix}memory_request`]: resources?.requests?.memory ?? null,
    [`${prefix}heap_ratio`]: resources?.heapRatio ?? null,
    [`${prefix}nodepool`]: nodepool ?? null,
  })
  return {
    ...fields('old_', before.data[0]),
    ...fields('new_', now.data[0]),
    ...(before.master && now.master && { ...fields('old_master_', before.master), ...fields('new_master_', now.master) }),
  }
}
