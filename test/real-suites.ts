import { runFiles } from './run-files.ts'
import { onReal } from './selection.ts'

/*
 * What `npm run test:real` runs. One file more at once than two processors can do: with two, a third of the time was idle.
 */

process.exitCode = await runFiles(onReal, { concurrency: 3, env: { ...process.env, SKERRY_CLUSTER: 'real' } })
