import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { listObjects, readObject } from '../../../shared/kubernetes/read.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import { planSnapshots, type SnapshotPlan, snapshotVolumesBody } from '../../resources/volume-snapshots.ts'
import { refuseFaults, seconds } from '../deciding/decision.ts'
import { databaseOfRequest } from '../deciding/present.ts'
import { readSnapshotFacts } from '../work/snapshot-facts.ts'
import { advanceSnapshots, claimNamesOf, leaveSnapshots } from '../work/volume-snapshots.ts'
import { type Action, databaseRequest } from './action.ts'

/**
 * Takes snapshots of the volumes of a database with the storage of the cluster, if it can: kubernetes-csi/external-snapshotter, v1. Where the
 * driver has a class for groups, all volumes are taken at one moment.
 */
export const snapshotVolumes: Action<DatabaseTarget> = {
  name: 'snapshot-volumes',
  phase: 'Updating',
  requests: [
    databaseRequest({
      method: 'POST',
      operationId: 'snapshotVolumes',
      summary: 'Takes a snapshot of every volume of the database',
      description:
        "With the storage's own snapshots, where the cluster has them: the plan says whether they are consistent between the nodes. `result.volumeSnapshots` of the operation lists them.",
      body: snapshotVolumesBody,
      asksForState: false,
      async prepare(parts, asked) {
        const { accepted, cluster } = parts
        if (!accepted.database(asked.target.project, asked.target.database)?.object) return asked
        const reads: Parameters<typeof readSnapshotFacts>[0] = {
          list: (kind, namespace, labelSelector) => listObjects(cluster, kinds[kind], { namespace, query: { labelSelector } }),
          read: ({ kind, namespace, name }) => readObject(cluster, pathOf(kinds[kind], namespace, name)),
        }
        return { ...asked, snapshotFacts: await readSnapshotFacts(reads, asked.target) }
      },
      decide(parts, asked) {
        const { spec, object } = databaseOfRequest(parts, asked)
        if (!object || !asked.snapshotFacts) {
          refuseFaults([{ path: '', message: 'the database does not exist yet, and has no volumes' }])
          return undefined
        }
        const { volumeSnapshotClass } = asked.body ?? {}
        const planned = planSnapshots(claimNamesOf(object), asked.snapshotFacts, { wish: asked.body, suspended: spec.suspended })
        if ('faults' in planned) refuseFaults(planned.faults)
        const { consequences } = planned as SnapshotPlan
        return {
          ...(volumeSnapshotClass !== undefined && { parameters: { volumeSnapshotClass } }),
          timeoutSeconds: seconds(parts.config.timeouts.restore),
          plan: [{ name: 'snapshot-volumes', consequences, objects: [] }],
        }
      },
    }),
  ],
  work: { advance: advanceSnapshots, leave: leaveSnapshots },
}
