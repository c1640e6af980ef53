import { type Actions, actionNames } from '../../../../agent/operations/actions/action.ts'
import type { DecisionParts } from '../../../../agent/operations/deciding/decision.ts'
import { createOperatorCache } from '../../../../agent/region/operator.ts'
import { systemClock } from '../../../../shared/clock.ts'
import { isProblem } from '../../../../shared/errors.ts'
import type { Cluster, ClusterRequest } from '../../../../shared/kubernetes/connection.ts'
import { kinds, pathOf } from '../../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../../shared/log.ts'
import { until } from '../../../cluster/index.ts'
import { type Api, createApiOver, operatorAt } from '../../api/region.ts'
import { type ActingRegion, startActingRegion } from '../acting-region.ts'

/** A whole agent over a cluster with stand-ins, with a table of actions of the test's own. */
export type ActionScene = {
  region: ActingRegion
  api: Api
  /** What `kubectl get operations` shows of an operation, by column. */
  columnsOf(operation: string): Promise<Record<string, unknown>>
  close(): Promise<void>
}

type Options = {
  crateDb?: string
  /** Called before each request of the API to the cluster; what it throws is the answer. */
  interfere?: (request: ClusterRequest) => void
  /** What a trial of a bucket finds: nothing if left out. */
  probe?: DecisionParts['probe']
}

export async function startActionScene(actions: Actions, { interfere, probe, ...options }: Options = {}): Promise<ActionScene> {
  const region = await startActingRegion(actions, options)
  const { admin, caches, journal } = region
  const cluster: Cluster = {
    ...admin,
    // biome-ignore lint/suspicious/noExplicitAny: as the interface has it
    async request(request): Promise<any> {
      interfere?.(request)
      return admin.request(request)
    },
  }
  await define(region, { actions: actionNames(actions), kinds: Object.keys(actions) })
  const log = createLog({ level: 'silent', name: 'test' })
  const operator = createOperatorCache(
    { namespace: operatorAt.namespace, name: operatorAt.deployment },
    { cluster, clock: systemClock, log },
  )
  await operator.start(new AbortController().signal)
  return {
    region,
    api: createApiOver({ cluster, caches, journal, obstacles: { of: async () => [] }, actions, sql: region.sql, probe }, operator),
    async columnsOf(operation) {
      const path = pathOf(kinds.Operation, 'skerry', operation)
      const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io'
      const { columnDefinitions, rows } = await cluster.request<Table>({ method: 'GET', path, accept })
      return Object.fromEntries(columnDefinitions.map(({ name }, index) => [name, rows[0]?.cells[index]]))
    },
    async close() {
      await operator.stop(0)
      await region.close()
    },
  }
}

type Table = { columnDefinitions: { name: string }[]; rows: { cells: unknown[] }[] }

const definition = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/operations.skerry.dev'

/** Has the CRD take these names, as `npm run render` writes them into it, and waits until the API server does. */
export async function define({ admin }: ActingRegion, names: { actions: string[]; kinds: string[] }): Promise<void> {
  const crd = await admin.request({ method: 'GET', path: definition })
  const { properties } = crd.spec.versions[0].schema.openAPIV3Schema.properties.spec
  properties.action.enum = names.actions
  properties.target.properties.kind.enum = names.kinds
  properties.target['x-kubernetes-preserve-unknown-fields'] = true
  // A patch, because the API server writes the status of the CRD at any time, and an update would meet a conflict.
  await admin.request({ method: 'PATCH', path: definition, contentType: 'application/merge-patch+json', body: { spec: crd.spec } })
  const spec = {
    sequence: 1,
    previousHash: '',
    hash: `sha256:${'0'.repeat(64)}`,
    acceptedAt: '2026-01-31T12:00:00.000Z',
    requestedBy: 'test',
    requestId: 'test',
    fingerprint: 'test',
    action: names.actions.at(-1),
    target: { kind: names.kinds.at(-1), project: 'test' },
    timeoutSeconds: 1,
  }
  const body = { apiVersion: 'skerry.dev/v1', kind: 'Operation', metadata: { name: 'op-0', namespace: 'skerry' }, spec }
  const path = pathOf(kinds.Operation, 'skerry')
  await until('the API server takes operations with these names', () =>
    admin.request({ method: 'POST', path, query: { dryRun: 'All' }, body }).then(
      () => true,
      (error) => {
        if (isProblem(error, 'rejected-by-cluster')) return false
        throw error
      },
    ),
  )
}
