import { parseArgs } from 'node:util'
import { parse } from 'yaml'
import { systemClock } from '../../shared/clock.ts'
import { systemFiles } from '../../shared/config/file.ts'
import { settings } from '../../shared/config/help.ts'
import { loadSecrets } from '../../shared/config/secrets.ts'
import { type FaultAt, parseWith } from '../../shared/faults.ts'
import { fieldKind, parseDuration } from '../../shared/fields.ts'
import { core, defOf, fieldSchemas, nearest, type Schema } from '../../shared/schema.ts'
import { checkKinds, isCheckKindName } from '../checks/index.ts'
import type { CheckContext, CheckKind, CheckResult } from '../checks/kind.ts'
import { accessCluster } from '../region/cluster-access.ts'
import { loadConditionsFor } from '../wire/conditions.ts'
import { type Command, print, UsageError } from './command.ts'
import { resultAsJson } from './json.ts'
import { runOnce } from './run-once.ts'

/** `skerry-monitor test KIND key=value …`: runs one check and prints its result. Exit code: 0 if up, 1 if not, 2 for invalid options. */
export const testCommand: Command = async (argv, { program, env }) => {
  const { values, positionals } = readArguments(argv)
  const [name, ...given] = positionals
  if (name === undefined) {
    print(usage(program), { isFault: !values.help })
    return values.help ? 0 : 2
  }
  if (!isCheckKindName(name)) throw new UsageError(unknownKind(name))
  const kind: CheckKind = checkKinds[name]
  if (values.help) {
    print(kindHelp(program, name, kind))
    return 0
  }
  const timeoutMs = parseDuration(values.timeout)
  if (timeoutMs === undefined || timeoutMs < 1) throw new UsageError('--timeout must be a duration such as 500ms or 10s')
  await loadConditionsFor(given.join())
  const read = readOptions(kind, given)
  if ('faults' in read) {
    print(`${read.faults.map((fault) => `${name}: ${fault}`).join('\n')}\nSee ${program} test ${name} --help`, { isFault: true })
    return 2
  }
  const context = await contextOf(values.kubeconfig, env)
  const { result, seconds } = await runOnce({ kind: name, options: read.options, timeoutMs }, context)
  const target = kind.target(read.options)
  if (values.json) print(JSON.stringify({ kind: name, target, ...resultAsJson(result, seconds) }))
  else print(describeResult(`${name} ${target}`, result, seconds))
  return result.state === 'up' ? 0 : 1
}

function readArguments(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        timeout: { type: 'string', default: '10s' },
        kubeconfig: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0] ?? '')
  }
}

/** The cluster of the kubeconfig, or of the pod. Most kinds need neither. */
async function contextOf(kubeconfig: string | undefined, env: Record<string, string | undefined>): Promise<Omit<CheckContext, 'signal'>> {
  const { KUBERNETES_SERVICE_HOST: serviceHost, KUBERNETES_SERVICE_PORT: servicePort } = env
  // Whoever gives the command on a host could run the program without the monitor.
  if (kubeconfig === undefined && serviceHost === undefined) return { mayExec: true }
  // The same variable and default as in the monitor's configuration.
  const serviceAccountDir = env.SKERRY_MONITOR__CLUSTER__SERVICE_ACCOUNT_DIR ?? '/var/run/secrets/kubernetes.io/serviceaccount'
  return {
    mayExec: serviceHost === undefined,
    apiServer: (await accessCluster({ kubeconfig, serviceAccountDir, serviceHost, servicePort }, systemClock)).apiServer,
  }
}

function unknownKind(name: string): string {
  const meant = nearest(name, Object.keys(checkKinds))
  const hint = meant === undefined ? `the kinds are ${Object.keys(checkKinds).join(', ')}` : `did you mean ${JSON.stringify(meant)}?`
  return `${JSON.stringify(name)} is not a kind of check; ${hint}`
}

/** The parsed options of a kind, with secrets loaded; or all faults, each with the name of its option. */
function readOptions(kind: CheckKind, given: readonly string[]): { options: unknown } | { faults: string[] } {
  const faults: string[] = []
  const input: Record<string, unknown> = {}
  for (const each of given) {
    const at = each.indexOf('=')
    if (at < 1) {
      faults.push(`${JSON.stringify(each)} is not key=value`)
      continue
    }
    const path = each.slice(0, at).split('.')
    const read = readValue(kind.options, path, each.slice(at + 1))
    if ('fault' in read) faults.push(`${path.join('.')} ${read.fault}`)
    else if (!place(input, path, read.value)) faults.push(`${path.join('.')} is set twice`)
  }
  const parsed = parseWith(kind.options, input)
  if (!parsed.ok) return { faults: [...faults, ...parsed.faults.map(sayFault)] }
  faults.push(...loadSecrets(parsed.value, systemFiles).map((fault) => sayFault({ ...fault, isKey: false })))
  return faults.length > 0 ? { faults } : { options: parsed.value }
}

/** A text field takes the text as it is: `body=true` is four letters. Any other field takes YAML: numbers, lists, maps. */
function readValue(schema: Schema, path: readonly string[], text: string): { value: unknown } | { fault: string } {
  let here: Schema[] = [schema]
  for (const piece of path) here = here.flatMap((each) => fieldSchemas(each, piece))
  const isText = here.some((each) => fieldKind(each) !== undefined || ['string', 'enum'].includes(defOf(core(each)).type))
  if (isText) return { value: text }
  try {
    return { value: parse(text) }
  } catch {
    return { fault: 'is not YAML' }
  }
}

/** Sets a value by its path; false if one is set already. Names such as `__proto__` are fields like any other. */
function place(input: Record<string, unknown>, [first = '', ...rest]: readonly string[], value: unknown): boolean {
  const there = Object.hasOwn(input, first) ? input[first] : undefined
  const set = (each: unknown) => Object.defineProperty(input, first, { value: each, enumerable: true, configurable: true, writable: true })
  if (rest.length === 0) {
    if (there !== undefined) return false
    set(value)
    return true
  }
  if (there !== undefined && (typeof there !== 'object' || there === null)) return false
  if (there === undefined) set({})
  return place(input[first] as Record<string, unknown>, rest, value)
}

function sayFault({ path, message }: FaultAt): string {
  const name = path.map((piece) => (typeof piece === 'number' ? `[${piece}]` : `.${piece}`)).join('')
  return name === '' ? `the options: ${message}` : `${name.replace(/^\./, '')} ${message}`
}

function describeResult(title: string, { state, reason, detail, measurements = [] }: CheckResult, seconds: number): string {
  const lines = [`${title}: ${state}`, `  ${detail}`]
  if (reason !== undefined) lines.push(`  reason ${reason}`)
  lines.push(`  took ${Math.round(seconds * 1000)} ms`)
  const series = measurements.map(({ name, labels = {}, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(text)}`)
    return [pairs.length === 0 ? name : `${name}{${pairs.join(',')}}`, String(value)] as const
  })
  const width = Math.max(0, ...series.map(([name]) => name.length))
  for (const [name, value] of series) lines.push(`  ${name.padEnd(width)}  ${value}`)
  return lines.join('\n')
}

function usage(program: string): string {
  const width = Math.max(...Object.keys(checkKinds).map((name) => name.length))
  const kinds = Object.entries<CheckKind>(checkKinds).map(([name, { about }]) => `  ${name.padEnd(width)}  ${about.split(/(?<=\.)\s/)[0]}`)
  return `Usage: ${program} test KIND key=value … [--timeout 10s] [--kubeconfig FILE] [--json]

Runs one check and prints its result, with --json as one JSON object. Exit code: 0 if the check is up, 1 if it is not, 2 if its options are invalid.
Values are YAML. A dot leads to an option inside another, as in passwordSecret.name=crate.

Kinds (their options: ${program} test KIND --help):
${kinds.join('\n')}
`
}

function kindHelp(program: string, name: string, kind: CheckKind): string {
  const example = Object.entries(kind.example as object).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  const lines = [`${name}: ${kind.about}`, '', `  ${[program, 'test', name, ...example].join(' ')}`]
  for (const { path, type, description, default: given, required } of settings(kind.options, '')) {
    lines.push('', `  ${path}`, `      ${type}${given !== undefined ? `, default ${given}` : required ? ', required' : ', optional'}`)
    if (description !== undefined) lines.push(`      ${description}`)
  }
  return lines.join('\n')
}
