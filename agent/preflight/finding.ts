import type { Evidence } from './evidence.ts'

/** `fail`: the installation cannot work like this. `warn`: it can, and someone should know. */
export type Level = 'ok' | 'warn' | 'fail'

/** One thing that was looked at. */
export type Finding = {
  /** Stable, for programs: `storage-class-missing/crate-premium`. What follows the slash is what it is about. */
  id: string
  level: Level
  /** What was seen, in one line. */
  what: string
  /** Why that matters; empty where nothing is wrong. */
  why: string
  /** What to do, with the command where there is one; empty where nothing is wrong. */
  action: string
}

/** Judges one group of things. Pure; concludes nothing from what could not be read. */
export type Rule = (evidence: Evidence) => Finding[]

/** Nothing is wrong, and this is what was seen. */
export function ok(id: string, what: string): Finding {
  return { id, level: 'ok', what, why: '', action: '' }
}

/** It works like this, and someone should know. */
export function warn(id: string, what: string, why: string, action: string): Finding {
  return { id, level: 'warn', what, why, action }
}

/** It cannot work like this. */
export function fail(id: string, what: string, why: string, action: string): Finding {
  return { id, level: 'fail', what, why, action }
}

/** The worst level among the findings. */
export function worst(findings: readonly Finding[]): Level {
  if (findings.some(({ level }) => level === 'fail')) return 'fail'
  return findings.some(({ level }) => level === 'warn') ? 'warn' : 'ok'
}
