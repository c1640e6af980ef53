import { existsSync, globSync } from 'node:fs'
import { importsOf } from './house/files.ts'

/*
 * Which test files run where, besides those of `npm test`: everything that meets a cluster also runs on a real one; what takes long runs once.
 */

const files = globSync('test/{agent,cluster,deploy,monitor,region,shared,words}/**/*.test.ts', {
  exclude: (file) => file.endsWith('node_modules'),
}).sort()

const isLong = (file: string) => file.endsWith('.long.test.ts')

/** Of those that take long, these ask what becomes of volumes and claims: only the binder of a real controller manager knows. */
export const longOnReal = new Set(
  [
    'controllers/retained-expiry',
    'operations/deleted-without-record',
    'operations/kept-apart',
    'operations/purge',
    'operations/undelete',
    'operations/volume-snapshots',
  ].map((name) => `test/agent/${name}.long.test.ts`),
)

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

/** For the real control plane: every file but those that meet no cluster and have run in `npm test`. They have nothing to gain there. */
export const onReal = files.filter((file) => (isLong(file) ? longOnReal.has(file) : !isApart(file)))
/** For the embedded one. */
export const longOnEmbedded = files.filter((file) => isLong(file) && !longOnReal.has(file))
