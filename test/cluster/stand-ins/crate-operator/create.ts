import type { KubernetesObject } from '../../client/objects.ts'
import { grant, grantAll, isReady } from '../databases.ts'
import { type Call, type Handler, Refusal, Retry } from './handling.ts'
import {
  backupMetricsDeployment,
  dataService,
  discoveryService,
  disruptionBudget,
  labels,
  passwordSecret,
  role,
  roleBinding,
  snapshotCronJob,
  sqlExporterConfig,
} from './objects.ts'
import { keyOfDatabase, type Operator } from './operator.ts'
import { type NodeGroup, nodeGroups, statefulSet } from './stateful-set.ts'
import { registerChain, type SubHandler } from './sub-handlers.ts'
import { md5 } from './traces.ts'

/** The handler of a CrateDB that has not finished a cycle yet. Its parts wait only for the pods. */
export function clusterCreate(operator: Operator): Handler {
  return {
    id: 'cluster_create',
    async run(call) {
      const { object, patch } = call
      refuseTerminatingNamespace(operator, object)
      checkNodes(object.spec.nodes)
      const run = { ref: md5(JSON.stringify(object.spec)), context: {} }
      const links = creationLinks(operator, object)
      registerChain(
        operator,
        call,
        run,
        links.map((link) => ({ ...link, dependsOn: [] })),
      )
      patch.status.cluster_create = run.context
      return undefined
    },
  }
}

/** In a namespace that is being deleted, every handler fails permanently. */
export function refuseTerminatingNamespace(operator: Operator, { metadata }: KubernetesObject): void {
  const namespace = operator.get('Namespace', '', metadata.namespace ?? '')
  if (namespace?.metadata.deletionTimestamp !== undefined || namespace?.status?.phase === 'Terminating') {
    throw new Refusal('The namespace for the target operation is terminating')
  }
}

/** Specs that the CRD accepts but with which no cluster could start. */
// biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
function checkNodes({ data, master }: any): void {
  const names: string[] = data.map(({ name }: { name: string }) => name)
  const invalid = names.filter((name) => !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name) || name.length > 63)
  if (invalid.length > 0) {
    const rule = "must be lowercase alphanumeric or '-', starting and ending with an alphanumeric character, and at most 63 characters"
    throw new Refusal(`Data node group names (spec.nodes.data[].name) ${rule}. Invalid: ${invalid.map((name) => `'${name}'`).join(', ')}.`)
  }
  if (names.includes('master')) {
    throw new Refusal(
      'Data node group names (spec.nodes.data[].name) must not use the reserved name of the dedicated master group: master.',
    )
  }
  const doubled = names.filter((name, index) => names.indexOf(name) !== index)
  if (doubled.length > 0) {
    throw new Refusal(`Data node group names (spec.nodes.data[].name) must be unique. Duplicated: ${doubled.join(', ')}.`)
  }
  if (master && (master.replicas < 3 || master.replicas % 2 === 0)) {
    throw new Refusal(
      `Dedicated master nodes (spec.nodes.master.replicas) must be an odd number >= 3 to form a quorum, got ${master.replicas}.`,
    )
  }
}

function creationLinks(operator: Operator, object: KubernetesObject): SubHandler[] {
  const groups = nodeGroups(object.metadata.name, object.spec.nodes)
  const backupImage = operator.backupImage()
  return [
    {
      id: 'sql_exporter_config',
      className: 'CreateSqlExporterConfigSubHandler',
      work: ({ signal }) => operator.ensure('ConfigMap', sqlExporterConfig(object), signal),
    },
    {
      id: 'system_user',
      className: 'CreateSystemUserSubHandler',
      work: ({ signal }) => operator.ensure('Secret', passwordSecret(object, 'system'), signal),
    },
    { id: 'services', className: 'CreateServicesSubHandler', work: (call) => ensureServices(operator, call) },
    ...groups.map((group) => ({
      id: group.isMaster ? 'statefulset_master' : `statefulset_data_${group.name}`,
      className: 'CreateStatefulsetSubHandler',
      work: (call: Call) => ensureStatefulSet(operator, call, group),
    })),
    { id: 'bootstrap', className: 'CreateUsersSubHandler', work: (call) => bootstrap(operator, call, groups) },
    ...(object.spec.backups && backupImage !== undefined
      ? [
          {
            id: 'backup',
            className: 'CreateBackupsSubHandler',
            work: async ({ signal }: Call) => {
              await operator.ensure('CronJob', snapshotCronJob(object, backupImage), signal)
              await operator.ensure('Deployment', backupMetricsDeployment(object, backupImage), signal)
            },
          },
        ]
      : []),
  ]
}

/** Both Services of a database. Resuming needs this too: suspending has deleted one of them. */
export async function ensureServices(operator: Operator, { object, signal }: Call): Promise<void> {
  const { exposure, externalDNS } = object.spec.cluster
  if (exposure === 'traefik' && !externalDNS) throw new Refusal('externalDNS is required when exposure=traefik')
  await operator.ensure('Service', dataService(object), signal)
  await operator.ensure('Service', discoveryService(object), signal)
}

async function ensureStatefulSet(operator: Operator, { object, signal }: Call, group: NodeGroup): Promise<void> {
  await operator.ensure('StatefulSet', statefulSet(object, group, { debugVolume: operator.debugVolume() }), signal)
  await operator.ensure('PodDisruptionBudget', disruptionBudget(object, group.setName, group.name), signal)
  await operator.ensure('Role', role(object), signal)
  await operator.ensure('RoleBinding', roleBinding(object), signal)
}

/** Creates the users, in the first pod that can become master. */
async function bootstrap(operator: Operator, { object, signal }: Call, groups: NodeGroup[]): Promise<void> {
  const { namespace = '', name } = object.metadata
  const key = keyOfDatabase(object)
  const pod = operator.get('Pod', namespace, `${groups[0]?.setName}-0`)
  if (!operator.options.withoutPods && !(pod && isReady(pod))) throw new Retry(undefined)
  const state = operator.databases.state(key)
  const password = operator.databases.systemPassword(key)
  if (password === undefined) throw new Retry(undefined)
  state.users.set('system', { password })
  grantAll(state, 'system', 'crate')
  await operator.ensure('Secret', passwordSecret(object, 'gc'), signal)
  for (const [index, { name: user, password: from }] of (object.spec.users ?? []).entries()) {
    const { name: secretName, key: field } = from.secretKeyRef
    const secret = operator.get('Secret', namespace, secretName)
    const data = secret?.data?.[field]
    if (!secret || data === undefined) throw new Retry(`Secret ${secretName} of user ${index} could not be read.`)
    if (secret.metadata.labels?.[labels.userPassword] !== 'true') {
      await operator.patch('Secret', secret, { metadata: { labels: { [labels.userPassword]: 'true' } } }, signal)
    }
    if (!state.users.has(user)) state.users.set(user, { password: Buffer.from(data, 'base64').toString() })
    grantAll(state, user, 'system')
    for (const type of ['DQL', 'DML', 'DDL', 'AL']) {
      grant(state, { state: 'DENY', type, class: 'SCHEMA', ident: 'gc', grantee: user, grantor: 'system' })
    }
  }
  operator.webhooks.feedback(`${namespace}/${name}`, 'success', 'create', 'create', 'The cluster has been created successfully.')
}
