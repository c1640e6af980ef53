import { globSync } from 'node:fs'
import { runFiles } from '../run-files.ts'

/*
 * What `npm run test:faults` runs, on the control plane that `SKERRY_CLUSTER` names. One file at a time: each starts several agents, and
 * measures how long they take to come back.
 */

process.exitCode = await runFiles(globSync('test/faults/*.test.ts').sort(), { concurrency: 1, env: process.env })
