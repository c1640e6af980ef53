import { backoff, type Clock } from '../clock.ts'
import type { Part } from '../lifecycle.ts'
import type { Log } from '../log.ts'
import type { Cluster } from './connection.ts'

/** The version of the control plane, `v1.35.2`; undefined until it was first read. */
export type KubernetesVersion = Part & { readonly current: string | undefined }

/** In milliseconds. No watch reports an upgrade of the control plane. */
const refreshMs = 10 * 60_000
const pauses = { baseMs: 1_000, capMs: 60_000 }

/** Reads the version at the start, and periodically. It is ready after the first attempt, whether that succeeds or not. */
export function createKubernetesVersion({
  cluster,
  clock,
  log,
}: {
  cluster: Pick<Cluster, 'request'>
  clock: Clock
  log: Log
}): KubernetesVersion {
  const ending = new AbortController()
  let current: string | undefined
  let running: Promise<void> | undefined

  async function run(signal: AbortSignal, asked: () => void): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      try {
        const { gitVersion } = await cluster.request<{ gitVersion: string }>({ method: 'GET', path: '/version', signal })
        if (gitVersion !== current) log.info({ from: current, to: gitVersion }, 'version of the control plane')
        current = String(gitVersion)
        failures = 0
      } catch (error) {
        if (!signal.aborted) log.debug({ err: error }, 'version of the control plane not read')
        failures++
      }
      asked()
      await clock.sleep(failures === 0 ? refreshMs : 1 + backoff(pauses, failures, Math.random()), signal).catch(() => {})
    }
  }

  return {
    name: 'version of the control plane',
    get current() {
      return current
    },
    start: () =>
      new Promise((resolve) => {
        running = run(ending.signal, resolve)
      }),
    async stop() {
      ending.abort(new Error('stopping'))
      await running
    },
  }
}
