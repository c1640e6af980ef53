import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync } from 'node:fs'
import { importsOf } from './house/files.ts'

/*
 * What `npm run test:real` runs on the real control plane: every test file but those that meet no cluster and have run in `npm test`. They
 * have nothing to gain there.
 */

const files = globSync('test/{agent,cluster,deploy,monitor,region,shared,words}/**/*.test.ts', {
  exclude: (file) => file.endsWith('node_modules'),
})

/** What a file imports, and what that imports, and so on. */
function reachedFrom(file: string, reached = new Set<string>()): Set<string> {
  for (const target of importsOf(file)) {
    if (reached.has(target)) continue
    reached.add(target)
    // A test may write programs that import what is beside them.
    if (target.endsWith('.ts') && existsSync(target)) reachedFrom(target, reached)
  }
  return reached
}

/** Those that start whole programs, or need real peers, meet whatever these meet. */
const isApart = (file: string) =>
  /^test\/(agent|monitor|shared)\//.test(file) && !file.endsWith('.real.test.ts') && !reachedFrom(file).has('test/cluster/index.ts')
const suites = files.filter((file) => file.endsWith('.long.test.ts') || !isApart(file)).sort()
process.stdout.write(`${suites.length} of ${files.length} test files meet a cluster, or take long\n`)

// One more than two processors can do at once: with two, a third of the time was idle.
const args = ['--test', '--test-concurrency=3', '--test-reporter=spec', ...suites]
const child = spawn(process.execPath, args, { env: { ...process.env, SKERRY_CLUSTER: 'real' }, stdio: 'inherit' })
const [code] = await once(child, 'exit')
process.exitCode = code ?? 1
