import { parseArgs } from 'node:util'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { isProblem } from '../../shared/errors.ts'
import { parseDuration } from '../../shared/fields.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import { linkObjects, type RegistrationStatus } from '../cloud/registration/status.ts'
import { annotation } from '../resources/labels.ts'
import { connectAsCaller, type Env, type Output } from './caller.ts'
import { registrationTable } from './registration-table.ts'

/** The exit codes. A credential that is being renewed holds, so the region is registered meanwhile. */
export const exitCodes = { registered: 0, not: 1, notAsked: 2 } as const

const help = `skerry-agent registration [leave|join|ask-again]: how the region stands with its cloud

  Without a word, it shows the state, why, what to do, the pairing code to type at the cloud, the thumbprint of the region's
  key, and when the region asks next.

  leave       let the region leave its cloud: everything that runs in it stays, its key is deleted, and it asks nothing any more
  join        take that back: the region joins with another key, by its installation token or a pairing code
  ask-again   let the region ask again where it rests, for instance after somebody at the cloud has approved it

  --kubeconfig FILE    the cluster: this file, else KUBECONFIG, else ~/.kube/config, else that of the pod
  --context NAME       another context than the current one
  --namespace NAME     the namespace of Skerry (skerry)
  --json               one JSON object: spec and status of the Registration
  --wait               wait until the region is registered; with leave, until it has left
  --timeout DURATION   how long to wait (5m)
  --dry-run            with leave, join and ask-again: let the API server check the change, and change nothing
  --help

The change is a patch of the Registration "cloud", by the caller's own permissions. The agent's service account may not
write it, so give a kubeconfig.

The exit code is 0 if the region is registered, 1 if it is not, 2 if that could not be found out or changed. Of a change it is 0
once that is written; with --wait, 1 if the time is up before.
`

const options = {
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  namespace: { type: 'string', default: 'skerry' },
  json: { type: 'boolean', default: false },
  wait: { type: 'boolean', default: false },
  timeout: { type: 'string', default: '5m' },
  'dry-run': { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const

type Change = { says: string; patch: (now: number) => object; isDone: (status: RegistrationStatus) => boolean }

/** What the caller can ask for, besides looking. */
const changes: Record<string, Change> = {
  leave: {
    says: 'The region leaves its cloud. Everything that runs in it stays.',
    patch: () => ({ spec: { joined: false } }),
    isDone: ({ state }) => state === 'Deregistered',
  },
  join: { says: 'The region joins its cloud.', patch: () => ({ spec: { joined: true } }), isDone: isRegistered },
  'ask-again': {
    says: 'The region asks its cloud again.',
    patch: (now) => ({ metadata: { annotations: { [annotation.askAgain]: new Date(now).toISOString() } } }),
    isDone: isRegistered,
  },
}

type Place = { cluster: Cluster; path: string }

/** The command. Never rejects: the code to exit with says how it went, one of `exitCodes`. */
export async function registrationCommand(argv: readonly string[], env: Env, output: Output, clock: Clock = systemClock): Promise<number> {
  const { out, err } = output
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true })
    if (values.help) {
      out(help)
      return exitCodes.registered
    }
    const change = changeOf(positionals)
    const timeoutMs = parseDuration(values.timeout)
    if (timeoutMs === undefined) throw new Error(`--timeout must be a duration such as 90s or 5m, not ${values.timeout}`)
    if (values['dry-run'] && (values.wait || change === undefined))
      throw new Error('--dry-run is for leave, join and ask-again, without --wait')
    const { cluster } = await connectAsCaller(values, env)
    const place = { cluster, path: pathOf(kinds.Registration, values.namespace, linkObjects.registration) }
    try {
      if (change !== undefined) {
        await write(change, place, { dryRun: values['dry-run'], now: clock.now() })
        err(values['dry-run'] ? `This would be done: ${change.says} Nothing was changed.\n` : `${change.says}\n`)
        if (!values.wait) return exitCodes.registered
      }
      const isDone = change?.isDone ?? isRegistered
      const found = values.wait ? await whenDone(place, isDone, { timeoutMs, clock, err }) : await read(place)
      out(values.json ? jsonOf(found) : registrationTable(found, values.namespace))
      return found?.status !== undefined && isDone(statusOf(found)) ? exitCodes.registered : exitCodes.not
    } finally {
      cluster.close()
    }
  } catch (error) {
    err(`skerry-agent registration: ${error instanceof Error ? error.message : error}\nSee --help.\n`)
    return exitCodes.notAsked
  }
}

function changeOf(words: string[]): Change | undefined {
  const [word, ...more] = words
  if (word === undefined) return undefined
  const change = Object.hasOwn(changes, word) ? changes[word] : undefined
  if (change === undefined || more.length > 0) throw new Error(`one of ${Object.keys(changes).join(', ')}, not ${words.join(' ')}`)
  return change
}

/** @throws Error with what can be done, if the caller may not, or if there is nothing to change */
async function write({ patch }: Change, { cluster, path }: Place, { dryRun, now }: { dryRun: boolean; now: number }): Promise<void> {
  const query = dryRun ? { dryRun: 'All' } : {}
  try {
    await cluster.request({ method: 'PATCH', path, query, contentType: 'application/merge-patch+json', body: patch(now) })
  } catch (error) {
    if (isProblem(error, 'not-found', 'not-served')) throw new Error(noRegistration, { cause: error })
    throw error
  }
}

const noRegistration =
  'there is no Registration: the agent names no cloud (cloud.url), none has led since, or the CRD registrations.skerry.dev is missing.'

async function read({ cluster, path }: Place): Promise<KubernetesObject | undefined> {
  try {
    return await readObject(cluster, path)
  } catch (error) {
    if (isProblem(error, 'not-served')) return undefined
    throw error
  }
}

/** Between two looks, in milliseconds: with `get` alone, which the caller may. */
const pauseMs = 500

type Waiting = { timeoutMs: number; clock: Clock; err: Output['err'] }

/** The registration once it is as wanted, or as it is when the time is up. Each other state on the way is told. */
async function whenDone(
  place: Place,
  isDone: (status: RegistrationStatus) => boolean,
  { timeoutMs, clock, err }: Waiting,
): Promise<KubernetesObject | undefined> {
  let told = ''
  for (const until = clock.monotonic() + timeoutMs; ; await clock.sleep(pauseMs)) {
    const found = await read(place)
    const isOver = clock.monotonic() >= until
    if (found?.status === undefined) {
      if (isOver) return found
      continue
    }
    const status = statusOf(found)
    if (isOver || isDone(status)) return found
    const line = `${status.state}: ${status.message}\n`
    if (line !== told) err(line)
    told = line
  }
}

function isRegistered({ state }: RegistrationStatus): boolean {
  return state === 'Ready' || state === 'Renewing'
}

function statusOf({ status }: KubernetesObject): RegistrationStatus {
  return status as RegistrationStatus
}

function jsonOf(found: KubernetesObject | undefined): string {
  return `${JSON.stringify({ spec: found?.spec ?? null, status: found?.status ?? null }, null, 2)}\n`
}
