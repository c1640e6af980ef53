import { spawnSync } from 'node:child_process'

/*
 * Asks the registry for advisories about the production dependencies, and ends with 1 for those that are high or critical. A registry that does
 * not answer, or has no advisories, is said and does not fail: what it would have said is not known.
 */

type Via = string | { title: string; url: string; severity: string }
type Report = {
  error?: { summary?: string; detail?: string }
  message?: string
  vulnerabilities?: Record<string, { name: string; severity: string; range: string; via: Via[] }>
  metadata?: { vulnerabilities: Record<string, number>; dependencies: { prod: number } }
}

const { stdout, stderr } = spawnSync('npm', ['audit', '--omit=dev', '--json', '--fetch-retries=1', '--fetch-timeout=20000'], {
  encoding: 'utf8',
  maxBuffer: 64 << 20,
  timeout: 120_000,
})
const { metadata, vulnerabilities = {}, error, message } = reportIn(stdout)
if (metadata === undefined) {
  const reason = message ?? error?.summary ?? stderr.trim().split('\n').at(-1)
  process.stdout.write(`Advisories were NOT checked: the registry did not answer with any. ${reason ?? ''}\n`)
} else {
  const grave = Object.values(vulnerabilities).filter(({ severity }) => severity === 'high' || severity === 'critical')
  for (const { name, range, via } of grave)
    for (const each of via)
      process.stderr.write(
        typeof each === 'string'
          ? `${name} ${range}: through ${each}\n`
          : `${name} ${range}: ${each.severity}: ${each.title} ${each.url}\n`,
      )
  const others = Object.keys(vulnerabilities).length - grave.length
  process.stdout.write(
    `${metadata.dependencies.prod} production dependencies: ${grave.length} with a high or critical advisory, ${others} with a lesser one\n`,
  )
  if (grave.length > 0) process.exitCode = 1
}

function reportIn(text: string): Report {
  try {
    return JSON.parse(text) as Report
  } catch {
    return {}
  }
}
