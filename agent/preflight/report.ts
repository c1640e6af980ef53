import { type Finding, type Level, worst } from './finding.ts'

/** The findings and their time, for programs. */
export type Report = { checkedAt: string; level: Level; findings: Finding[] }

/** @param now Unix milliseconds */
export function reportOf(findings: Finding[], now: number): Report {
  return { checkedAt: new Date(now).toISOString(), level: worst(findings), findings }
}

const verdicts: Record<Level, string> = {
  ok: 'Nothing blocks the installation.',
  warn: 'The installation can start. Read the warnings first.',
  fail: 'The installation would fail.',
}

/** The findings for people: one line each, and for problems the reason and the action below it. */
export function reportTable({ findings, level }: Report): string {
  const lines = findings.flatMap(({ level, what, why, action }) => [
    `${level.padEnd(4)}  ${what}`,
    ...(level === 'ok' ? [] : [`      why   ${why}`, `      do    ${action}`]),
  ])
  const count = (of: Level) => findings.filter((finding) => finding.level === of).length
  return `${lines.join('\n')}\n\n${count('fail')} fail, ${count('warn')} warn, ${count('ok')} ok. ${verdicts[level]}\n`
}
