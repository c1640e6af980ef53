import { type Call, FailedDependency, type Handler, Refusal, Retry } from './handling.ts'
import { keyOfDatabase, type Operator } from './operator.ts'
import { progressOf } from './traces.ts'
import type { Notification } from './webhooks.ts'

/** One run of a chain: its `ref` distinguishes its results from those of earlier runs. */
export type Run = { ref: string; context: { ref?: string; notifications?: Notification[] } }

/** One link of a chain. */
export type SubHandler = {
  id: string
  /** The operator's class name, under which the status records its start. */
  className: string
  /** Full ids of the links that it waits for; by default, all earlier ones in the chain. */
  dependsOn?: string[]
  /** Runs even if those that it waits for have failed, because it cleans up. */
  always?: boolean
  work(call: Call, run: Run): Promise<void>
}

/** Registers the links of a chain below the handler of this call. Returns their ids, for later handlers to wait for. */
export function registerChain(operator: Operator, call: Call, run: Run, links: SubHandler[]): string[] {
  const before: string[] = []
  for (const link of links) {
    const dependsOn = link.dependsOn ?? [...before]
    call.register(stateBased(operator, run, { ...link, dependsOn }))
    before.push(`${call.id}/${link.id}`)
  }
  return before
}

/** A sub-handler that reads from the object's status and progress whether its turn has come. */
function stateBased(operator: Operator, run: Run, link: SubHandler & { dependsOn: string[] }): Handler {
  const { faults, world } = operator
  return {
    id: link.id,
    waits: true,
    async run(call) {
      const seconds = Math.floor(world.clock.now() / 1000)
      const start = call.object.status?.subhandlerStartedAt?.[link.className] as { started: number; ref: string } | undefined
      const noteStart = () => {
        call.patch.status.subhandlerStartedAt = {
          ...(call.patch.status.subhandlerStartedAt as object | undefined),
          [link.className]: { started: seconds, ref: run.ref },
        }
      }
      if (start?.ref !== run.ref) noteStart()
      const waitingFor = link.dependsOn.filter((id) => isOpen(call, run, id, link))
      if (waitingFor.length > 0) {
        noteStart()
        throw new Retry(`Waiting for '${waitingFor.join(',')}'.`, { results: waitingFor })
      }
      const runtimeMs = start?.ref === run.ref ? world.clock.now() - start.started * 1000 : 0
      if (faults.timesOut(keyOfDatabase(call.object), call.id)) {
        throw new Refusal(`${link.className}.handle has timed out after ${Math.floor(runtimeMs / 1000)} s.`)
      }
      call.begin()
      await link.work(call, run)
      return { success: true, ref: run.ref }
    },
  }
}

/** Whether another handler is unfinished. Throws if it has failed and this one depends on it. */
function isOpen({ object }: Call, { ref }: Run, id: string, { always }: SubHandler): boolean {
  const result = object.status?.[id] as { ref?: string } | undefined
  if (result && result.ref === ref) return false
  const progress = progressOf(object, id)
  if (!progress?.failure) return true
  if (always) return false
  throw new FailedDependency(`A dependency (${id}) has failed. Giving up.`)
}

/** Keeps a notification in the status until the end of the run. */
export function schedule(run: Run, notification: Notification): void {
  run.context.notifications = [...(run.context.notifications ?? []), notification]
}

/** Sends the notifications of this run. */
export function flush(operator: Operator, { object }: Call, run: Run): void {
  for (const notification of run.context.notifications ?? []) operator.webhooks.send(keyOfDatabase(object), notification)
  if (run.context.notifications) run.context.notifications = []
}
