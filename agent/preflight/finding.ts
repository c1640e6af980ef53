import type { Evidence } from './evidence.ts'

/** `fail`: the installation cannot work. `warn`: it can work, but someone should know. */
export type Level = 'ok' | 'warn' | 'fail'

/** The result of one check. */
export type Finding = {
  /** Stable, for programs: `storage-class-missing/crate-premium`. The subject follows the slash. */
  id: string
  level: Level
  /** The observation, in one line. */
  what: string
  /** Why it matters; empty if all is well. */
  why: string
  /** The action, with the command if there is one; empty if all is well. */
  action: string
}

/** Checks one group. Pure; concludes nothing from evidence that could not be read. */
export type Rule = (evidence: Evidence) => Finding[]

/** All is well. */
export function ok(id: string, what: string): Finding {
  return { id, level: 'ok', what, why: '', action: '' }
}

/** It works, but someone should know. */
export function warn(id: string, what: string, why: string, action: string): Finding {
  return { id, level: 'warn', what, why, action }
}

/** It cannot work. */
export function fail(id: string, what: string, why: string, action: string): Finding {
  return { id, level: 'fail', what, why, action }
}

/** The worst level among the findings. */
export function worst(findings: readonly Finding[]): Level {
  if (findings.some(({ level }) => level === 'fail')) return 'fail'
  return findings.some(({ level }) => level === 'warn') ? 'warn' : 'ok'
}
