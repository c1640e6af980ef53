import type { Caches } from '../region/caches.ts'
import type { DatabaseView } from '../region/database-view.ts'
import type { ProjectView } from '../region/project-view.ts'
import { projectOf } from '../resources/kind.ts'
import type { Operation } from '../resources/operation.ts'
import type { EventSource } from './events/index.ts'
import { changesOf, type Shown } from './representations/changes.ts'
import type { Resources } from './resources.ts'

/** The collections whose changes are events, each shown as a read would show it. */
// biome-ignore lint/suspicious/noExplicitAny: each source knows the type of its own objects
export function eventSources(caches: Pick<Caches, 'operations'>, resources: Omit<Resources, 'routes'>): EventSource<any>[] {
  const ofOperation: EventSource<Operation> = {
    kind: 'operation',
    cache: caches.operations,
    refOf: ({ metadata, spec }) => ({ project: spec.target.project, id: metadata.name }),
    render: (operation) => resources.operations.of(operation).bytes,
  }
  return [ofOperation, projectChanges(resources), databaseChanges(resources)]
}

function projectChanges({ views, projects }: Omit<Resources, 'routes'>): EventSource<Shown> {
  const now = ({ id }: ProjectView) => ({ ref: { project: id, id }, prepared: projects.get(id) })
  return changesOf({
    kind: 'project',
    all: () => views.projects.all().map(now),
    follow: (tell) => views.projects.subscribe((view) => tell(now(view))),
  })
}

function databaseChanges({ views, databases, operator, operatorState }: Omit<Resources, 'routes'>): EventSource<Shown> {
  const now = ({ namespace, name }: DatabaseView) => {
    const project = projectOf(namespace)
    return project === undefined ? undefined : { ref: { project, id: name }, prepared: databases.get(project, name) }
  }
  const all = () => [...views.databases.values()].map(now).filter((each) => each !== undefined)
  return changesOf({
    kind: 'database',
    all,
    follow(tell) {
      const unsubscribe = views.databases.subscribe((view) => {
        const each = now(view)
        if (each) tell(each)
      })
      let state = operatorState()
      const unsubscribeOperator = operator.subscribe(() => {
        if (operatorState() === state) return
        state = operatorState()
        for (const each of all()) tell(each)
      })
      return () => {
        unsubscribe()
        unsubscribeOperator()
      }
    },
  })
}
