import { systemClock } from '../../../shared/clock.ts'
import { until } from '../../cluster/index.ts'

/** The clock of a part that sleeps after each look. */
export function clockOfLooks() {
  let looks = 0
  const sleep: typeof systemClock.sleep = (ms, signal) => {
    looks += 1
    return systemClock.sleep(ms, signal)
  }
  return {
    clock: { ...systemClock, sleep },
    /** Resolves when a look that began after the call has ended. */
    async looked(): Promise<void> {
      const before = looks
      await until('a whole look', async () => looks >= before + 2)
    },
  }
}
