import type { Obstacle } from '../../resources/operation.ts'
import { conditionOf, describeObject, type Evidence, isPast, listed } from './evidence.ts'

/** How long the namespace controller may say nothing about a deletion before that is worth telling, in milliseconds. */
const deletionPatienceMs = 10_000

/** The project is not there, or its controller could not make all of it. */
export function projectNotReady({ target, project }: Evidence): Obstacle[] {
  if (project === undefined) return []
  const code = 'ProjectNotReady'
  const look = `kubectl describe project ${target.project}`
  if (project === null) {
    if (target.kind === 'project') return []
    const message = `Project ${target.project} does not exist.`
    return [{ code, message, evidence: `Project ${target.project}`, cure: 'Create the project first; its namespace comes with it.' }]
  }
  if (project.metadata.deletionTimestamp !== undefined) {
    if (target.kind === 'project') return []
    const message = `Project ${target.project} is being deleted.`
    return [{ code, message, evidence: describeObject(project), cure: `Wait for its end, then create it anew: ${look}` }]
  }
  const ready = conditionOf(project, 'Ready')
  if (ready?.status === 'True') return []
  const message =
    ready === undefined
      ? `Project ${target.project} has not been worked on yet.`
      : `Project ${target.project} is not ready: ${ready.message ?? ready.reason ?? 'no reason given'}`
  return [{ code, message, evidence: describeObject(project), cure: `Its conditions say what to do: ${look}` }]
}

export function namespaceMissing({ target, namespace, namespaceName, project }: Evidence): Obstacle[] {
  // A project that is not there or leaves has no namespace to miss.
  if (namespace !== null || !project || project.metadata.deletionTimestamp !== undefined) return []
  return [
    {
      code: 'NamespaceMissing',
      message: `Namespace ${namespaceName} of project ${target.project} does not exist.`,
      evidence: `Namespace ${namespaceName}`,
      cure: `The leading agent makes it within seconds. If not: kubectl describe project ${target.project}; kubectl get lease -A`,
    },
  ]
}

/** What a namespace's conditions say while it is being deleted, the worst first, and what helps. */
const remains = [
  { type: 'NamespaceDeletionDiscoveryFailure', cure: () => 'An API service does not answer: kubectl get apiservices | grep False' },
  { type: 'NamespaceDeletionGroupVersionParsingFailure', cure: () => 'Repair or remove the API service it names: kubectl get apiservices' },
  { type: 'NamespaceDeletionContentFailure', cure: (namespace: string) => `kubectl describe namespace ${namespace}` },
  { type: 'NamespaceFinalizersRemaining', cure: lookAtContent },
  { type: 'NamespaceContentRemaining', cure: lookAtContent },
] as const

export function namespaceTerminating({ target, namespace, now, databases }: Evidence): Obstacle[] {
  const since = namespace?.metadata.deletionTimestamp
  if (!namespace || since === undefined) return []
  const name = namespace.metadata.name
  const told = remains.flatMap(({ type, cure }) => {
    const condition = conditionOf(namespace, type)
    return condition?.status === 'True' ? [{ message: condition.message ?? type, cure }] : []
  })
  const code = 'NamespaceTerminating'
  const evidence = describeObject(namespace)
  if (told.length > 0) {
    const messages = told.map(({ message }) => message)
    const content = messages.join(' ')
    return [{ code, message: `Namespace ${name} is being deleted. ${content}`, evidence, cure: told[0]?.cure(name, content) ?? '' }]
  }
  // On the way out this is what is meant to happen, unless nothing does.
  if (target.kind === 'project' && (databases.length > 0 || !isPast(since, deletionPatienceMs, now))) return []
  return [
    {
      code,
      message: `Namespace ${name} is being deleted since ${since}; nothing can be created in it.`,
      evidence,
      cure: `Wait for its end. If it does not end, see that kube-controller-manager runs: kubectl describe namespace ${name}`,
    },
  ]
}

function lookAtContent(namespace: string, message = ''): string {
  // "Some resources are remaining: cratedbs.cloud.crate.io has 1 resource instances, pods. has 2 resource instances"
  const resources = [...message.matchAll(/([a-z0-9.-]+) has \d+ resource instance/g)].map(([, resource]) => resource?.replace(/\.$/, ''))
  const what = resources.length > 0 ? resources.join(',') : 'all'
  return `See what holds them: kubectl --namespace ${namespace} get ${what} --output yaml | grep -A2 finalizers`
}

/** The project is to go and still holds databases that nobody has deleted. */
export function databasesRemain({ target, project, databases }: Evidence): Obstacle[] {
  if (target.kind !== 'project' || project?.metadata.deletionTimestamp === undefined) return []
  const standing = databases.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  const [first] = standing
  if (!first) return []
  const names = standing.map(({ metadata }) => metadata.name)
  return [
    {
      code: 'DatabasesRemain',
      message: `Project ${target.project} is to be deleted and still holds ${names.length === 1 ? 'database' : 'databases'} ${listed(names)}.`,
      evidence: describeObject(first),
      cure: `Delete them first, by the API (cascade=true does it with the project) or: kubectl --namespace ${first.metadata.namespace} delete cratedb ${names.join(' ')}`,
    },
  ]
}
