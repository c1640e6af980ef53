import type { TestContext } from 'node:test'

/** Runs work that starts servers of test/peers, and stops them at its end. */
export async function asTest<T>(work: (t: TestContext) => Promise<T>): Promise<T> {
  const endings: (() => unknown)[] = []
  try {
    return await work({ after: (ending: () => unknown) => endings.push(ending) } as unknown as TestContext)
  } finally {
    for (const ending of endings.toReversed()) await ending()
  }
}
