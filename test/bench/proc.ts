import { readFileSync } from 'node:fs'

/** A process as the kernel reports it: resident memory now and at its highest, in MiB, and its CPU time in milliseconds. */
export type ProcessFacts = { rss: number; peak: number; cpuMs: number }

/** Linux's clock ticks: USER_HZ is 100 wherever Node runs. */
const tickMs = 10

/** The facts at this moment. @throws Error if there is no such process */
export function processFacts(pid: number): ProcessFacts {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
  // The program's name is in parentheses and may contain spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return { rss: kib('VmRSS') / 1024, peak: kib('VmHWM') / 1024, cpuMs: (Number(fields[11]) + Number(fields[12])) * tickMs }
}
