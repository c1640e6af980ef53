import { desiredProject, type ProjectSpec } from '../../resources/project.ts'
import { observedOf, type Work } from './work.ts'

/** Applies the Project and waits until its controller has made the namespace and all that belongs into it. */
export const putProject: Work = {
  async advance(context) {
    const { operation } = context
    const wanted = operation.spec.wanted as ProjectSpec
    const current = await context.cluster.read({ kind: 'Project', name: wanted.id })
    if (current?.metadata.deletionTimestamp) return { next: 'wait', message: 'The project of this name is still being deleted.' }
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
