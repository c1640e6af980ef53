import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { keyOf } from '../../shared/kubernetes/objects.ts'
import { createQueue, type World } from '../cluster/index.ts'

const fieldManager = 'job-controller-stand-in'

/**
 * A stand-in for the Job controller, for a control plane that has none: a Job that wants no pods to succeed is over at once, as helm waits
 * for with those of hooks. It starts no pods: a Job that wants any stays as it is.
 */
export async function runJobs(world: World): Promise<{ stop(): Promise<void> }> {
  const jobs = await world.follow('Job')
  const isOver = ({ status }: KubernetesObject) => status?.conditions?.some(({ type }: { type: string }) => type === 'Complete') === true
  const queue = createQueue(
    async (key, signal) => {
      const job = jobs.get(key)
      if (job?.spec.completions !== 0 || isOver(job)) return
      const status = { conditions: [{ type: 'Complete', status: 'True' }], startTime: job.metadata.creationTimestamp }
      await world.patch('Job', job.metadata, { status }, { fieldManager, subresource: 'status', signal })
    },
    { name: 'jobs', clock: world.clock, log: world.log },
  )
  const end = jobs.subscribe(({ type, key }) => {
    if (type !== 'removed') queue.add(key)
  })
  for (const { metadata } of jobs.values()) queue.add(keyOf(metadata))
  return {
    async stop() {
      end()
      await queue.stop()
    },
  }
}
