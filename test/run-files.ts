import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { buildBundles } from './bundles.ts'
import { startPool } from './cluster/index.ts'

/**
 * Runs each test file in a process of its own, so many at once. On the real control plane they share a pool of it: nearly all of them need
 * one, and to start it takes longer than most of them.
 *
 * @returns the exit code of the test runner
 */
export async function runFiles(files: string[], { concurrency, env }: { concurrency: number; env: NodeJS.ProcessEnv }): Promise<number> {
  await using bundles = await buildBundles()
  const pool = env.SKERRY_CLUSTER === 'real' ? await startPool() : undefined
  const own = {
    NODE_COMPILE_CACHE: resolve('node_modules/.cache/node'),
    SKERRY_BUNDLES: bundles.folder,
    ...(pool && { SKERRY_CLUSTER_POOL: pool.path }),
  }
  const args = ['--test', `--test-concurrency=${concurrency}`, '--test-reporter=spec', ...files]
  const child = spawn(process.execPath, args, { env: { ...env, ...own }, stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal)) // it says what it was at
  const [code] = await once(child, 'exit')
  await pool?.stop()
  return code ?? 1
}
