import { unlessGone } from '../../../shared/kubernetes/failures.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { mergePatch } from '../../../shared/kubernetes/patch.ts'
import { readObject } from '../../../shared/kubernetes/read.ts'
import { unlessNamespaceGone } from '../../region/project-rights.ts'
import { type DatabaseTarget, namespaceOf, type Step } from '../../resources/kind.ts'
import { fieldManager } from '../../resources/labels.ts'
import {
  crdLacksEndpoint,
  endpointAssumption,
  endpointFaults,
  endpointProbe,
  hasEndpoint,
  needsEndpoint,
  neverRestores,
  restoreBody,
  restoreRefusals,
  restoreStep,
  type StoredRestore,
  splitRestoreSecrets,
} from '../../resources/restore.ts'
import { refusal, refuseFaults, seconds } from '../deciding/decision.ts'
import { decideOwnRestore, foreseeRestore } from '../deciding/own-restore.ts'
import { databaseOfRequest } from '../deciding/present.ts'
import { isDone, type Progress, type WorkContext } from '../work/context.ts'
import { advanceSteps, readCrateDB } from '../work/database-steps.ts'
import { advanceOwnRestore, leaveOwnRestore } from '../work/own-restore.ts'
import { type Action, databaseRequest } from './action.ts'

/**
 * Restores a snapshot. Those of the Crate Operator's backups are restored by the operator, which resets the request in the spec afterwards, in
 * success and in failure; those of Skerry's own by SQL.
 */
export const restore: Action<DatabaseTarget> = {
  name: 'restore',
  phase: 'Restoring',
  requests: [
    databaseRequest({
      method: 'POST',
      operationId: 'restoreDatabase',
      summary: 'Restores a snapshot into the database, or into a new one',
      body: restoreBody,
      example: { snapshot: '20260131120000', type: 'tables', tables: ['doc.readings'] },
      asksForState: false,
      async prepare(parts, asked) {
        const { target, body } = asked
        if (body.from === 'snapshots') return { ...asked, foreseen: await foreseeRestore(parts, target, body) }
        const present = parts.accepted.database(target.project, target.database)
        if (!present?.object || !needsEndpoint(present.spec, splitRestoreSecrets(body).restore, present.object)) return asked
        // The agent may not read CRDs.
        const namespace = namespaceOf(target.project)
        const path = pathOf(kinds.CrateDB, namespace, target.database)
        const probe = unlessGone(mergePatch(parts.cluster, path, endpointProbe(target), { fieldManager, dryRun: true }))
        const tried = await unlessNamespaceGone(probe, () => readObject(parts.cluster, pathOf(kinds.Namespace, undefined, namespace)))
        return { ...asked, keepsEndpoint: tried && hasEndpoint(tried) }
      },
      decide(parts, asked) {
        const { restore, secrets } = splitRestoreSecrets(asked.body)
        if (restore.from === 'snapshots') return decideOwnRestore(parts, asked, restore)
        const { spec, object } = databaseOfRequest(parts, asked)
        const facts = { object, operator: parts.operatorRelease(), keepsEndpoint: asked.keepsEndpoint }
        const never = neverRestores(spec, object)
        if (never.length > 0) throw refusal('unsupported-edit', never)
        refuseFaults([...endpointFaults(restore, parts.config.endpoints), ...restoreRefusals(spec, restore, facts)])
        const step = object ? restoreStep(asked.target, object, restore, secrets) : notYet
        return {
          parameters: restore,
          ...(Object.keys(secrets).length > 0 && { secrets }),
          timeoutSeconds: seconds(parts.config.timeouts.restore),
          plan: [{ ...step, consequences: [...step.consequences, ...endpointAssumption(spec, restore, facts)] }],
        }
      },
    }),
  ],
  work: {
    advance: (context) => {
      const asked = context.operation.spec.parameters as StoredRestore
      return asked.from === 'snapshots' ? advanceOwnRestore(context, asked) : advance(context)
    },
    async leave(context) {
      const asked = context.operation.spec.parameters as StoredRestore
      return asked.from === 'snapshots' ? leaveOwnRestore(context, asked) : undefined
    },
  },
}

const notYet: Step = {
  name: 'restore',
  consequences: ['The database does not exist yet, so the change cannot be shown.'],
  objects: [],
}

const refOf = ({ project, database }: DatabaseTarget) => ({ kind: 'CrateDB' as const, namespace: namespaceOf(project), name: database })

async function advance(context: WorkContext<DatabaseTarget>): Promise<Progress> {
  const { operation } = context
  if (isDone(operation, 'restore')) return { next: 'done', message: 'The snapshot was restored.' }
  const current = await readCrateDB(context)
  if (!current) return { next: 'failed', reason: 'Disappeared', message: 'The database was deleted before the snapshot was restored.' }
  if (operation.status?.step?.note?.written) return advanceSteps(context, current, [])
  const step = restoreStep(context.target, current, operation.spec.parameters as StoredRestore, await context.secrets())
  // The CRD may have been replaced since the request was accepted.
  if (step.objects.some(hasEndpoint) && !hasEndpoint(await context.cluster.tryPatch(refOf(context.target), endpointProbe(context.target))))
    return { next: 'failed', reason: 'NotSupported', message: `The snapshot was not restored: ${crdLacksEndpoint}.` }
  return advanceSteps(context, current, [step])
}
