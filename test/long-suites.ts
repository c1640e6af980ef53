import { runFiles } from './run-files.ts'
import { longOnEmbedded } from './selection.ts'

/*
 * What `npm run test:long` runs: files that take so long that `npm test` leaves them out.
 */

process.exitCode = await runFiles(longOnEmbedded, { concurrency: 3, env: { ...process.env, SKERRY_CLUSTER: 'embedded' } })
