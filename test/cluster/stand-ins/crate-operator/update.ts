import { afterChangeCompute, changeCompute } from './compute.ts'
import { refuseTerminatingNamespace } from './create.ts'
import { changeExposure } from './exposure.ts'
import type { Call, Handler } from './handling.ts'
import type { Operator } from './operator.ts'
import { afterClusterUpdate, beforeClusterUpdate } from './pauses.ts'
import { type Plan, planOf } from './plan.ts'
import { restart } from './restart.ts'
import { finalRollback, isRollingBack } from './rollback.ts'
import { scale } from './scale.ts'
import { flush, type Run, registerChain, type SubHandler } from './sub-handlers.ts'
import { md5, rollbackKey } from './traces.ts'
import { afterUpgrade, beforeUpgrade, restoreJwt, upgrade } from './upgrade.ts'
import { expandVolume, startCluster, suspendCluster } from './volumes.ts'

/** The handler of all changes of a CrateDB after its creation. */
export function clusterUpdate(operator: Operator): Handler {
  return {
    id: 'cluster_update',
    async run(call) {
      const { object, patch, diff, started } = call
      refuseTerminatingNamespace(operator, object)
      const plan = planOf(diff, operator)
      if (plan.nothing) return undefined
      if (plan.operation === 'upgrade' && isRollingBack(object)) {
        patch.metadata.annotations[rollbackKey] = 'false'
        return undefined
      }
      const run: Run = { ref: md5(JSON.stringify(diff) + started), context: { ...object.status?.cluster_update } }
      run.context.ref = run.ref
      noteCronJobDelay(operator, call, plan)
      const chain = registerChain(operator, call, run, linksOf(operator, plan))
      const last = { dependsOn: chain, always: true }
      registerChain(operator, call, run, [
        {
          id: 'notify_success_update',
          className: 'FlushNotificationsSubHandler',
          ...last,
          work: async (each) => flush(operator, each, run),
        },
        {
          id: 'final_rollback',
          className: 'FinalRollbackSubHandler',
          ...last,
          work: async (each) => finalRollback(each, run, chain, plan.operation),
        },
      ])
      patch.status.cluster_update = run.context
      return undefined
    },
  }
}

function linksOf(operator: Operator, plan: Plan): SubHandler[] {
  return [
    ...(plan.before ? [beforeClusterUpdate(operator)] : []),
    ...(plan.upgrade ? [beforeUpgrade(operator), upgrade(operator)] : []),
    ...(plan.compute ? [changeCompute(operator)] : []),
    ...(plan.upgrade || plan.compute ? [restart(operator, plan.upgrade ? 'upgrade' : 'change_compute')] : []),
    ...(plan.upgrade ? [restoreJwt(), afterUpgrade()] : []),
    ...(plan.compute ? [afterChangeCompute()] : []),
    ...(plan.scale ? [scale(operator)] : []),
    ...(plan.disk && operator.options.noDowntimeStorageExpansion ? [expandVolume(operator)] : []),
    ...(plan.disk && !operator.options.noDowntimeStorageExpansion
      ? [suspendCluster(operator), expandVolume(operator), startCluster(operator)]
      : []),
    ...(plan.exposure ? [changeExposure(operator)] : []),
    ...(plan.after ? [afterClusterUpdate(operator)] : []),
  ]
}

/** After these, a timer resumes the CronJob, not the chain; after a suspension, nothing does. */
function noteCronJobDelay(operator: Operator, { object, patch }: Call, plan: Plan): void {
  if (plan.operation === 'suspend') patch.status.delay_cronjob = false
  if (plan.operation !== 'resume' && !plan.upgrade) return
  patch.status.delay_cronjob = true
  // The real operator writes it in each pass. Here, each write would cause another pass.
  const standing = object.status?.delay_cronjob === true && object.status.cluster_update?.ref !== undefined
  patch.status.delay_cronjob_start = standing ? object.status.delay_cronjob_start : operator.world.clock.now() / 1000
}
