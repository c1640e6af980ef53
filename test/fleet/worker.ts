import { parentPort, workerData } from 'node:worker_threads'
import { holds, reportOf } from './report.ts'
import { type Name, scenarios } from './scenarios.ts'

/** What a worker is asked for. */
export type Task = { name: Name; count: number; seed: number }

/** What it answers: the lines to print, and whether all bounds hold. */
export type Done = { lines: string[]; isFine: boolean }

const { name, count, seed } = workerData as Task
const began = performance.now()
const outcome = await scenarios[name].run(count, seed)
const seconds = ((performance.now() - began) / 1_000).toFixed(1)
const title = `${name}: ${scenarios[name].about} (${count}; ${seconds} s)`
const done: Done = { lines: [title, ...reportOf(outcome)], isFine: outcome.bounds.every(holds) }
parentPort?.postMessage(done)
