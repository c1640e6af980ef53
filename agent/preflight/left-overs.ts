import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { conditionOf, describeObject, listed } from '../region/obstacles/evidence.ts'
import type { Evidence } from './evidence.ts'
import { type Finding, fail, ok, warn } from './finding.ts'
import { deploymentsOf, isOfStack } from './stack.ts'

/** Leftovers of an earlier installation that block a new one. Causes come before their consequences. */
export function leftOvers(evidence: Evidence): Finding[] {
  const findings = [
    ...definitionsMissing(evidence),
    ...recordsImpossible(evidence),
    ...definitionsTerminating(evidence),
    ...instancesHanging(evidence),
    ...namespacesTerminating(evidence),
    ...webhooksWithoutService(evidence),
    ...apiServicesUnavailable(evidence),
  ]
  if (findings.length > 0 || !evidence.namespaces) return [...findings, ...deletedDatabases(evidence)]
  return [ok('left-overs', 'an earlier installation left nothing behind that blocks this one'), ...deletedDatabases(evidence)]
}

const records = { definition: 'retaineddatabases.skerry.dev', kind: 'RetainedDatabase' }

/** Where somebody upgrades by hand, without the CRDs. The agent works all the same. */
function recordsImpossible({ deployments, definitions }: Evidence): Finding[] {
  const runs = deployments?.some(({ metadata }) => metadata.name === 'skerry-agent') ?? false
  const has = (name: string) => definitions?.some(({ metadata }) => metadata.name === name) ?? true
  if (!runs || !has('projects.skerry.dev') || has(records.definition)) return []
  return [
    warn(
      `definition-missing/${records.definition}`,
      `Skerry is installed, but its CRD ${records.definition} is not`,
      'Deleted databases are not recorded: their volumes are kept, and cannot be had back by a request.',
      'Apply deploy/crds of this version, or run install.sh again. The agent takes it up by itself.',
    ),
  ]
}

/** What an earlier installation deleted and can be had back. They block nothing, and count against the quotas of their projects. */
function deletedDatabases({ instances = [], audience }: Evidence): Finding[] {
  const kept = instances.filter(({ kind }) => kind === records.kind)
  if (audience === 'agent' || kept.length === 0) return []
  const names = listed(kept.map(({ spec }) => `${spec?.project}/${spec?.database}`))
  return [ok('deleted-databases', `deleted databases of an earlier installation can be had back: ${names}`)]
}

/** Helm installs the CRDs of a chart only once, so a program can exist without its CRDs. */
function definitionsMissing({ deployments, definitions, components }: Evidence): Finding[] {
  if (!deployments || !definitions) return []
  return components.flatMap((component) => {
    const { name, namespace, definition } = component
    const there = deployments.filter(({ metadata }) => metadata.namespace === namespace).map(({ metadata }) => metadata.name)
    const running = deploymentsOf(component).filter((each) => there.includes(each))
    if (running.length === 0 || definition === undefined || definitions.some(({ metadata }) => metadata.name === definition)) return []
    return fail(
      `definition-missing/${definition}`,
      `${name} is installed, but its CRD ${definition} is not`,
      'It was deleted, or an earlier installation was removed only in part. Programs that need it hang or fail, and helm does not restore it.',
      `Run install.sh again: it installs CRDs separately. If ${name} still fails, restart it: kubectl -n ${namespace} rollout restart deployment ${running.join(' ')}`,
    )
  })
}

function definitionsTerminating({ definitions, instances = [], components }: Evidence): Finding[] {
  const terminating = (definitions ?? []).filter(({ metadata, spec }) => metadata.deletionTimestamp && isOfStack(spec.group, components))
  return terminating.map(({ metadata: { name }, spec }) => {
    const left = instances.filter(({ apiVersion, kind }) => kind === spec.names.kind && apiVersion.startsWith(`${spec.group}/`))
    const held = left.filter(({ metadata }) => metadata.finalizers?.length)
    const [first] = held
    return fail(
      `definition-terminating/${name}`,
      `the CRD ${name} is stuck in deletion: ${left.length} ${left.length === 1 ? 'object is' : 'objects are'} left`,
      'Until it is gone, no object of this kind can be created, and a CRD that is installed now is deleted with it.',
      first
        ? `Start the program again that holds ${describeObject(first)} (${listed(first.metadata.finalizers ?? [])}), so that it can finish. ${lastResort(first, name)}`
        : `Wait a minute. If it stays, see which objects are left, and let their program finish: kubectl get ${name} -A`,
    )
  })
}

/** Deleted objects, such as databases, that wait for a program that does not run. Those of a CRD in deletion are reported with the CRD. */
function instancesHanging({ definitions = [], instances = [], deployments }: Evidence): Finding[] {
  const groupsGoing = definitions.filter(({ metadata }) => metadata.deletionTimestamp).map(({ spec }) => spec.group)
  const operatorRuns = deployments?.some(({ metadata, status }) => metadata.name === 'crate-operator' && (status?.readyReplicas ?? 0) > 0)
  const hanging = instances.filter(
    ({ apiVersion, metadata }) =>
      metadata.deletionTimestamp && metadata.finalizers?.length && !groupsGoing.includes(apiVersion.split('/')[0] ?? ''),
  )
  const [first] = hanging
  if (!first || operatorRuns) return []
  const what = `${describeObject(first)}${hanging.length > 1 ? ` and ${hanging.length - 1} more have` : ' has'} been deleted and is stuck`
  const why = `They wait for ${listed(first.metadata.finalizers ?? [])}, but no program that removes it is running. Their namespaces are stuck too.`
  const action = `Install: that restores the Crate Operator, which releases them. ${lastResort(first)}`
  return [warn('objects-hanging', what, why, action)]
}

/** The last resort: to delete an object without the program that holds it. @param plural with its group */
function lastResort({ apiVersion, kind, metadata: { name, namespace } }: KubernetesObject, plural = singular(apiVersion, kind)): string {
  const at = namespace === undefined ? '' : `-n ${namespace} `
  return `If that program never returns, make sure that the reclaim policy of the volumes is Retain: kubectl get persistentvolumes. Then, as the last resort, which loses this object and all volumes of it that are not kept: kubectl ${at}patch ${plural} ${name} --type=merge -p '{"metadata":{"finalizers":null}}'`
}

/** `cratedb.cloud.crate.io`, with the group, since another group may have a kind of the same name. */
function singular(apiVersion: string, kind: string): string {
  return `${kind.toLowerCase()}.${apiVersion.split('/')[0]}`
}

function namespacesTerminating({ namespaces, components }: Evidence): Finding[] {
  const own = new Set(components.map(({ namespace }) => namespace))
  const going = (namespaces ?? []).filter(({ metadata }) => metadata.deletionTimestamp)
  return going.flatMap((namespace) => {
    const { name } = namespace.metadata
    if (!own.has(name) && !name.startsWith('project-')) return []
    const reasons = ['NamespaceDeletionDiscoveryFailure', 'NamespaceFinalizersRemaining', 'NamespaceContentRemaining'].flatMap((type) => {
      const condition = conditionOf(namespace, type)
      return condition?.status === 'True' && condition.message ? [condition.message] : []
    })
    const what = `the namespace ${name} is being deleted${reasons.length > 0 ? `: ${reasons.join('; ')}` : ''}`
    const action = `Wait until it is gone. If it stays, see which objects it still contains: kubectl get namespace ${name} -o jsonpath='{.status.conditions}'`
    return own.has(name)
      ? fail(`namespace-terminating/${name}`, what, 'Nothing can be created in it until it is gone.', action)
      : warn(`namespace-terminating/${name}`, what, 'Its project cannot be created again until it is gone.', action)
  })
}

type Webhook = { failurePolicy?: string; clientConfig?: { service?: { namespace: string; name: string } } }

/** Webhooks whose Service no longer runs: the API server refuses every object that they should review. */
function webhooksWithoutService({ webhooks, namespaces, deployments }: Evidence): Finding[] {
  if (!webhooks || !namespaces || !deployments) return []
  const live = new Set(namespaces.filter(({ metadata }) => !metadata.deletionTimestamp).map(({ metadata }) => metadata.name))
  const inhabited = new Set(deployments.map(({ metadata }) => metadata.namespace))
  return webhooks.flatMap((configuration) => {
    const strict = ((configuration.webhooks ?? []) as Webhook[]).filter(({ failurePolicy }) => (failurePolicy ?? 'Fail') === 'Fail')
    const dead = strict.flatMap(({ clientConfig }) => {
      const service = clientConfig?.service
      return service && !(live.has(service.namespace) && inhabited.has(service.namespace)) ? [service] : []
    })
    const [first] = dead
    if (!first) return []
    const { name } = configuration.metadata
    return [
      fail(
        `webhook-without-service/${name}`,
        `the ${configuration.kind} ${name} asks the Service ${first.name} in ${first.namespace}, where nothing runs`,
        'The API server refuses every object that this webhook should review.',
        `If its program is gone: kubectl delete ${configuration.kind.toLowerCase()} ${name}`,
      ),
    ]
  })
}

function apiServicesUnavailable({ apiServices = [] }: Evidence): Finding[] {
  const down = apiServices.filter((service) => conditionOf(service, 'Available')?.status === 'False')
  return down.map((service) => {
    const { name } = service.metadata
    const why = 'While it does not answer, namespaces cannot be deleted, and helm cannot see which kinds there are.'
    const action = `Repair the service behind it. If that is gone: kubectl delete apiservice ${name}`
    return warn(
      `api-service-unavailable/${name}`,
      `the API ${name} does not answer: ${conditionOf(service, 'Available')?.message}`,
      why,
      action,
    )
  })
}
