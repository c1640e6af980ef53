import type { Cure } from '../../resources/cure.ts'
import type { Obstacle } from '../../resources/operation.ts'
import { cures } from './cures.ts'
import { cascadeOf } from './deletion.ts'
import { conditionOf, describeObject, type Evidence, isPast, listed, tell } from './evidence.ts'

/** How long a namespace may terminate without any condition before that is reported, in milliseconds. */
const deletionPatienceMs = 10_000

/** The project does not exist, or its controller could not create all of its objects. */
export function projectNotReady({ target, project, namespaceName }: Evidence): Obstacle[] {
  if (project === undefined) return []
  const code = 'ProjectNotReady'
  const { create, leaving, describe } = cures.ProjectNotReady
  const named = { project: target.project }
  if (project === null) {
    if (target.kind === 'project') return []
    const message = `Project ${target.project} does not exist.`
    return [tell({ code, message, evidence: `Project ${target.project}`, cures: [create()] })]
  }
  if (project.metadata.deletionTimestamp !== undefined) {
    if (target.kind === 'project') return []
    const message = `Project ${target.project} is being deleted.`
    return [tell({ code, message, evidence: describeObject(project), cures: [leaving(named)] })]
  }
  const ready = conditionOf(project, 'Ready')
  if (ready?.status === 'True') return []
  const message =
    ready === undefined
      ? `Project ${target.project} has not been reconciled yet.`
      : `Project ${target.project} is not ready: ${ready.message ?? ready.reason ?? 'no reason given'}`
  const handOver = cures.NamespaceNotOwned.handOver({ ...named, namespace: namespaceName })
  return [
    tell({
      code,
      message,
      evidence: describeObject(project),
      cures: [describe(named), ...(ready?.reason === 'NamespaceNotOwned' ? [handOver] : [])],
    }),
  ]
}

export function namespaceMissing({ target, namespace, namespaceName, project }: Evidence): Obstacle[] {
  // A project that does not exist, or is being deleted, needs no namespace.
  if (namespace !== null || !project || project.metadata.deletionTimestamp !== undefined) return []
  return [
    tell({
      code: 'NamespaceMissing',
      message: `Namespace ${namespaceName} of project ${target.project} does not exist.`,
      evidence: `Namespace ${namespaceName}`,
      cures: [cures.NamespaceMissing.describe({ project: target.project }), cures.NamespaceMissing.leases()],
    }),
  ]
}

/** The conditions of a namespace that is being deleted, the worst first, each with its cure. */
const remains = [
  { type: 'NamespaceDeletionDiscoveryFailure', cure: () => cures.NamespaceTerminating.discovery() },
  { type: 'NamespaceDeletionGroupVersionParsingFailure', cure: () => cures.NamespaceTerminating.parsing() },
  { type: 'NamespaceDeletionContentFailure', cure: (namespace: string) => cures.NamespaceTerminating.content({ namespace }) },
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
  const [worst] = told
  if (worst) {
    const content = told.map(({ message }) => message).join(' ')
    return [tell({ code, message: `Namespace ${name} is being deleted. ${content}`, evidence, cures: [worst.cure(name, content)] })]
  }
  // In the deletion of a project this is expected, unless it makes no progress.
  if (target.kind === 'project' && (databases.length > 0 || !isPast(since, deletionPatienceMs, now))) return []
  return [
    tell({
      code,
      message: `Namespace ${name} has been terminating since ${since}; nothing can be created in it.`,
      evidence,
      cures: [cures.NamespaceTerminating.wait({ namespace: name })],
    }),
  ]
}

function lookAtContent(namespace: string, message = ''): Cure {
  // "Some resources are remaining: cratedbs.cloud.crate.io has 1 resource instances, pods. has 2 resource instances"
  const resources = [...message.matchAll(/([a-z0-9.-]+) has \d+ resource instance/g)].map(([, resource]) => resource?.replace(/\.$/, ''))
  return cures.NamespaceTerminating.holders({ namespace, resources: resources.join(',') || 'all' })
}

/** The project is being deleted, but holds databases that are not. */
export function databasesRemain({ target, project, databases }: Evidence): Obstacle[] {
  if (target.kind !== 'project' || project?.metadata.deletionTimestamp === undefined) return []
  const standing = databases.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  const [first] = standing
  if (!first) return []
  const names = standing.map(({ metadata }) => metadata.name)
  return [
    tell({
      code: 'DatabasesRemain',
      message: `Project ${target.project} is to be deleted and still holds ${names.length === 1 ? 'database' : 'databases'} ${listed(names)}.`,
      evidence: describeObject(first),
      cures: cascadeOf(project, databases),
    }),
  ]
}
