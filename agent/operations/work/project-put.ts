import { isDeepStrictEqual } from 'node:util'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { desiredProject, type ProjectSpec, readProject } from '../../resources/project.ts'
import { observedOf, type Progress, type Work, type WorkContext } from './work.ts'

/** Applies the Project and waits until its controller has made the namespace and all that belongs into it. */
export const putProject: Work = {
  async advance(context) {
    const { operation } = context
    const wanted = operation.spec.wanted as ProjectSpec
    const current = await context.cluster.read({ kind: 'Project', name: wanted.id })
    if (current?.metadata.deletionTimestamp) return putLeaving(context, current, wanted)
    const { step } = operation.status ?? {}
    if (!step) await context.begin('apply')
    if (!current || step?.note?.generation === undefined) {
      const applied = await context.cluster.apply(desiredProject(wanted))
      const record = operation.status?.step ?? context.operation.status?.step
      await context.record({ phase: 'Waiting', ...(record && { step: { ...record, note: { generation: applied.metadata.generation } } }) })
      return { next: 'again' }
    }
    const conditions: { type: string; status: string; reason?: string; message?: string; observedGeneration?: number }[] =
      current.status?.conditions ?? []
    const ready = conditions.find(({ type }) => type === 'Ready')
    const seen = (ready?.observedGeneration ?? current.status?.observedGeneration ?? 0) >= (step.note.generation as number)
    if (seen && ready?.status === 'True') {
      await context.finish()
      return { next: 'done', observed: observedOf(current) }
    }
    return {
      next: 'wait',
      message: seen ? (ready?.message ?? 'The project is not ready.') : 'The project controller has not seen the change yet.',
    }
  },
}

/** All that one on its way out can still be told is that it may go. Anything else is for the one that is made under its name afterwards. */
async function putLeaving(context: WorkContext, current: KubernetesObject, wanted: ProjectSpec): Promise<Progress> {
  const { deletionProtection } = wanted
  if (deletionProtection || !isDeepStrictEqual({ ...readProject(current), deletionProtection }, wanted))
    return { next: 'wait', message: 'The project of this name is still being deleted.' }
  // Not an apply, which would make it anew if it went at this moment.
  const changed = await context.cluster.patch({ kind: 'Project', name: wanted.id }, { spec: { deletionProtection } })
  return { next: 'done', message: 'The project, which is being deleted, is no longer protected.', observed: observedOf(changed) }
}
