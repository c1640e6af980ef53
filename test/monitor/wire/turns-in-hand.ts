import { threadMs } from '../../shared/thread-time.ts'

/**
 * Runs it, and returns its result with the longest time between two turns of the event loop, in milliseconds of this thread's processor time:
 * what else the machine does makes no difference.
 */
export async function heldBy<T>(run: () => Promise<T>): Promise<{ result: T; heldMs: number }> {
  let heldMs = 0
  let last = threadMs()
  let isOn = true
  const turn = () => {
    const now = threadMs()
    heldMs = Math.max(heldMs, now - last)
    last = now
    if (isOn) setImmediate(turn)
  }
  setImmediate(turn)
  try {
    const result = await run()
    await new Promise((resolve) => setImmediate(resolve))
    return { result, heldMs }
  } finally {
    isOn = false
  }
}
