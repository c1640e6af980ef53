import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { parseArgs } from 'node:util'
import { isProblem, Problem } from '../../shared/errors.ts'
import { parseDuration } from '../../shared/fields.ts'
import { createLog } from '../../shared/log.ts'
import type { GivenFile } from '../region-file/import/plan.ts'
import { readImport } from '../region-file/import/reading.ts'
import { hasEnded, type Operation } from '../resources/operation.ts'
import { type Accepting, configFor, openAccepting } from './accepting.ts'
import type { Env, Output } from './caller.ts'
import { readGivenFile } from './given-file.ts'
import { importTable, type ShownImport } from './import-table.ts'
import { inOwnWords } from './own-words.ts'

/** The exit codes. */
export const exitCodes = { imported: 0, incomplete: 1, notAsked: 2 } as const

const help = `skerry-agent import FILE: makes the projects and databases of a region file again, with the volumes that they had

  FILE is a region file, packed with gzip or not; - reads it from standard input. With the secrets that open-export has printed of it, it is
  an object with the members file and secrets. Run it in a pod of the agent:
    kubectl -n skerry exec -i deploy/skerry-agent -- node /skerry/agent.mjs import - --dry-run <FILE

  --dry-run              show a verdict for each database, and change nothing
  --old-cluster-is-gone  that the cluster in which the file was made is gone: two that write to the same volumes destroy them
  --adopt-region         take the file of another region
  --older-file           take a file that is older than what is here
  --host OLD=NEW         the name of a host or zone here, for a name in the file; may be repeated
  --config FILE          the agent's configuration; default: that of the pod
  --no-wait              do not wait for the end
  --timeout DURATION     how long to wait for the end (2h); the import goes on after that
  --json                 the plan, or the operation, as one JSON object
  --help

The agent that leads carries it out: what was accepted goes on when this command is stopped. The same file can be imported again, and then
only what is missing is made. docs/recovery.md says how a region is rebuilt.

The exit code is 0 if all of it is there, or a dry run found nothing against it; 1 if something is missing or refused; 2 if it could not be
asked for.
`

const options = {
  'dry-run': { type: 'boolean', default: false },
  'old-cluster-is-gone': { type: 'boolean', default: false },
  'adopt-region': { type: 'boolean', default: false },
  'older-file': { type: 'boolean', default: false },
  host: { type: 'string', multiple: true },
  config: { type: 'string' },
  'no-wait': { type: 'boolean', default: false },
  timeout: { type: 'string', default: '2h' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const

type Given = { values: ReturnType<typeof parsed>['values']; file: string; timeoutMs: number }

function parsed(argv: readonly string[]) {
  return parseArgs({ args: [...argv], options, allowPositionals: true })
}

/** How long reading the cluster may take, in milliseconds. */
const openMs = 60_000

/** The command. Never rejects: the code to exit with says how it went, one of `exitCodes`. @param input standard input */
export async function importCommand(argv: readonly string[], env: Env, output: Output, input: Readable = process.stdin): Promise<number> {
  const { out, err } = output
  try {
    const { values, positionals } = parsed(argv)
    if (values.help) {
      out(help)
      return exitCodes.imported
    }
    const [file, ...more] = positionals
    if (file === undefined || more.length > 0) throw new Error('name one region file, or - for standard input')
    const timeoutMs = parseDuration(values.timeout)
    if (timeoutMs === undefined) throw new Error(`--timeout must be a duration such as 90s or 2h, not ${values.timeout}`)
    const noPair = values.host?.find((pair) => !/^[^=,\s]{1,253}=[^=,\s]{1,253}$/.test(pair))
    if (noPair !== undefined) throw new Error(`--host must be a pair such as edge-1=edge-7, not ${noPair}`)
    const config = configFor(values.config, env)
    const read = await readFrom(file, input)
    const log = createLog({ level: 'warn', name: 'skerry-agent import', destination: { write: err } })
    const accepting = await openAccepting(config, env, { log, signal: AbortSignal.timeout(openMs) })
    try {
      return await ask(accepting, read, { values, file, timeoutMs }, output)
    } finally {
      await accepting.close()
    }
  } catch (error) {
    err(`skerry-agent import: ${told(error)}\nSee --help.\n`)
    return error instanceof Problem && error.type === 'wrong-state' ? exitCodes.incomplete : exitCodes.notAsked
  }
}

function told(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (!isProblem(error, 'invalid-fields', 'wrong-state')) return error.message
  return error.faults.map(({ message }) => inOwnWords(message)).join('\n  ')
}

/** @throws Error with everything that is wrong with the file */
async function readFrom(file: string, input: Readable): Promise<GivenFile> {
  const found = await readImport(await readGivenFile(file, input))
  if (found.ok) return found.value
  const faults = found.faults.map(({ path, message }) => `${path === '' ? 'the file' : path} ${message}`)
  throw new Error([...faults, ...(found.more > 0 ? [`and ${found.more} more faults`] : [])].join('\n  '))
}

function queryOf({ values }: Given): Record<string, string> {
  return {
    oldClusterIsGone: String(values['old-cluster-is-gone']),
    adoptRegion: String(values['adopt-region']),
    olderFile: String(values['older-file']),
    ...(values.host && { hosts: values.host.join(',') }),
  }
}

async function ask({ requests, journal, caches }: Accepting, file: GivenFile, given: Given, { out, err }: Output): Promise<number> {
  const { values, timeoutMs } = given
  const request = { operationId: 'importRegion', target: { kind: 'region' as const }, query: queryOf(given), body: file }
  if (values['dry-run']) {
    const shown = (await requests.show(request)).import as ShownImport
    out(values.json ? `${JSON.stringify(shown, null, 2)}\n` : importTable(shown))
    return shown.refusals.length > 0 || (shown.counts.refused ?? 0) > 0 ? exitCodes.incomplete : exitCodes.imported
  }
  const accepted = await requests.accept({ ...request, requestedBy: 'command:import', key: randomUUID() })
  if (accepted.outcome === 'unchanged') throw new Error('there was nothing to do')
  const { name } = accepted.operation.metadata
  err(`Operation ${name} was accepted.\n`)
  const unsubscribe = caches.operations.subscribe(tellProgress(name, err))
  const ended = values['no-wait'] ? accepted.operation : await journal.whenEnded(name, timeoutMs, new AbortController().signal)
  unsubscribe()
  return conclude(ended, values, { out, err })
}

function tellProgress(name: string, err: Output['err']) {
  let before: string | undefined
  return ({ object }: { object: Operation }) => {
    const { message } = object.status ?? {}
    if (object.metadata.name !== name || message === undefined || message === before || hasEnded(object)) return
    before = message
    err(`${message}\n`)
  }
}

type Failure = { project: string; database?: string; reason: string; message: string }

function conclude(operation: Operation, values: Given['values'], { out, err }: Output): number {
  const { phase, message, action, result } = operation.status ?? {}
  if (values.json) out(`${JSON.stringify({ id: operation.metadata.name, ...operation.status }, null, 2)}\n`)
  if (!hasEnded(operation)) {
    if (!values['no-wait'])
      err(`It has not ended yet, and goes on. Ask for it: kubectl -n skerry get operation ${operation.metadata.name}\n`)
    return values['no-wait'] ? exitCodes.imported : exitCodes.incomplete
  }
  if (values.json) return phase === 'Succeeded' ? exitCodes.imported : exitCodes.incomplete
  const { failures = [], moreFailures = 0 } = (result?.import ?? {}) as { failures?: Failure[]; moreFailures?: number }
  for (const { project, database, message: why } of failures) out(`${[project, database].filter(Boolean).join('/')}: ${why}\n`)
  if (moreFailures > 0) out(`and ${moreFailures} more\n`)
  out(`${phase}: ${message}${action === undefined ? '' : ` ${action}`}\n`)
  return phase === 'Succeeded' ? exitCodes.imported : exitCodes.incomplete
}
