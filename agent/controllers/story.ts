import type { EventRecorder, Occasion } from '../../shared/kubernetes/event-recorder.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import { type KubernetesObject, keyOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Journal } from '../operations/journal.ts'
import type { Caches } from '../region/caches.ts'
import { namespaceOf, projectOf, type Target } from '../resources/kind.ts'
import { hasEnded, type Obstacle, type Operation, phaseOf } from '../resources/operation.ts'

export type StoryParts = {
  caches: Pick<Caches, 'operations' | 'projects' | 'databases'>
  journal: Pick<Journal, 'unended' | 'unendedTargets'>
  recorder: Pick<EventRecorder, 'record' | 'recordWhenIdle'>
  lease: Leadership
}

/** What happened, without the object that it happened to. */
type Told = Omit<Occasion, 'about'>

/**
 * The leader's part that tells the story of operations, projects and databases as Kubernetes Events, so that `kubectl describe` shows it:
 * accepted, each step, blockers that come and go, the end. It reads the caches, and nothing depends on it.
 */
export function createStory({ caches, journal, recorder, lease }: StoryParts): Part {
  let unsubscribe: (() => void)[] = []

  function objectOf(target: Target): KubernetesObject | undefined {
    if (target.kind === 'region') return undefined
    return target.kind === 'project'
      ? caches.projects.get(target.project)
      : caches.databases.get(keyOf({ namespace: namespaceOf(target.project), name: target.database }))
  }

  /** About the operation and, while it exists, about its target. */
  function tell(operation: Operation, story: Told[]): void {
    for (const told of story) recorder.record({ about: operation, ...told })
    tellTarget(operation, story)
  }

  function tellTarget(operation: Operation, story: Told[]): void {
    for (const occasion of ofTarget(operation, story)) recorder.record(occasion)
  }

  function ofTarget({ metadata, spec }: Operation, story: Told[]): Occasion[] {
    const about = objectOf(spec.target)
    return about ? story.map((told) => ({ about, ...told, message: `${metadata.name}: ${told.message}` })) : []
  }

  /** What the last leader may not have told any more of these. Thousands may be open. */
  function* untold(open: Operation[]): Iterable<Occasion> {
    for (const operation of open) {
      if (!lease.isLeader()) return
      // Of one that has changed meanwhile, what changed is told already: its blockers may be gone.
      const isUnchanged = caches.operations.get(keyOf(operation.metadata)) === operation
      const story = sinceAcceptance(operation).filter(({ at }) => isUnchanged || at !== undefined)
      for (const told of story) yield { about: operation, ...told }
      yield* ofTarget(operation, story)
    }
  }

  /** The story so far of an object that appears. */
  function begin(target: Target): void {
    for (const operation of journal.unended(target)) tellTarget(operation, sinceAcceptance(operation))
  }

  /** A project shows blockers without an operation too. */
  function tellProject(object: KubernetesObject, previous: KubernetesObject | undefined): void {
    const before: Obstacle[] = previous?.status?.blockers ?? []
    for (const told of blockersBetween(before, object.status?.blockers ?? [])) recorder.record({ about: object, ...told })
  }

  return {
    name: 'story',
    async start() {
      unsubscribe = [
        lease.onChange((leads) => {
          recorder.recordWhenIdle(untold(leads ? journal.unendedTargets().flatMap((target) => journal.unended(target)) : []))
        }),
        caches.operations.subscribe(({ type, object, previous }) => {
          if (!lease.isLeader() || type === 'removed') return
          tell(object, previous ? storyBetween(previous, object) : sinceAcceptance(object))
        }),
        caches.projects.subscribe(({ type, object, previous }) => {
          if (!lease.isLeader() || type === 'removed') return
          if (type === 'added') begin({ kind: 'project', project: object.metadata.name })
          tellProject(object, previous)
        }),
        caches.databases.subscribe(({ type, object: { metadata } }) => {
          const project = projectOf(metadata.namespace ?? '')
          if (type === 'added' && lease.isLeader() && project !== undefined) begin({ kind: 'database', project, database: metadata.name })
        }),
      ]
    },
    async stop() {
      for (const end of unsubscribe) end()
    },
  }
}

function sinceAcceptance(operation: Operation): Told[] {
  const { spec, status } = operation
  const steps = spec.planned === undefined ? '' : `, with the steps ${spec.planned.split(',').join(', ')}`
  const message = `The request "${spec.action}" of ${spec.requestedBy} was accepted${steps}.`
  const accepted: Told = { type: 'Normal', reason: 'Accepted', message, at: spec.acceptedAt }
  if (hasEnded(operation)) return [accepted, endOf(operation)]
  return [accepted, ...stepOf(operation), ...blockersBetween([], status?.blockers ?? [])]
}

function storyBetween(previous: Operation, operation: Operation): Told[] {
  const isNewStep = operation.status?.step?.startedAt !== previous.status?.step?.startedAt
  if (hasEnded(previous)) return []
  return [
    ...(isNewStep ? stepOf(operation) : []),
    ...blockersBetween(previous.status?.blockers ?? [], operation.status?.blockers ?? []),
    ...(hasEnded(operation) ? [endOf(operation)] : []),
  ]
}

function stepOf({ status }: Operation): Told[] {
  if (!status?.step) return []
  const { name, startedAt } = status.step
  return [{ type: 'Normal', reason: 'StepBegan', message: `The step "${name}" began.`, at: startedAt }]
}

function endOf(operation: Operation): Told {
  const { message = '', endedAt } = operation.status ?? {}
  const phase = phaseOf(operation)
  return { type: phase === 'Failed' ? 'Warning' : 'Normal', reason: phase, message, at: endedAt }
}

/** Blockers that have come, and those that have gone, by their sentence. */
function blockersBetween(before: Obstacle[], now: Obstacle[]): Told[] {
  const saidIn = (all: Obstacle[]) => new Set(all.map(({ message }) => message))
  const [were, are] = [saidIn(before), saidIn(now)]
  const come = now.filter(({ message }) => !were.has(message))
  const codes = new Set(now.map(({ code }) => code))
  const gone = new Set(before.flatMap(({ code, message }) => (are.has(message) || codes.has(code) ? [] : [code])))
  return [
    ...come.map(({ code, message }): Told => ({ type: isOrdinary(code) ? 'Normal' : 'Warning', reason: code, message })),
    ...[...gone].map((code): Told => ({ type: 'Normal', reason: 'BlockerGone', message: `${code} no longer stands in the way.` })),
  ]
}

/** Whether it is ordinary that an operation waits for this. */
function isOrdinary(code: string): boolean {
  return code === 'OperationAhead' || code === 'NoFreeWorker'
}
