import { hash } from 'node:crypto'
import type { FSWatcher } from 'node:fs'
import { dirname } from 'node:path'
import type * as z from 'zod'
import type { Clock } from '../../shared/clock.ts'
import { type Files, maxConfigBytes, readText, systemFiles } from '../../shared/config/file.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { watchFolder } from '../../shared/watch-folder.ts'
import type { Check } from './check.ts'
import { createSecretReader, MissingSecret } from './cluster-secrets.ts'
import { type ChecksFile, type ParseOptions, parseChecks, sayFault, secretReferences } from './config.ts'

/** The checks of a file, as it was when it could last be used. */
export type FollowedChecks<P = unknown> = Part & {
  checks(): readonly Check[]
  /** The section `probe` of the file, if a schema was given for it. */
  probe(): P | undefined
  /** Calls the listener when the checks are others. @returns how to end that */
  subscribe(listener: () => void): () => void
  /** Reads it now. @returns whether it can be used as it is */
  reload(): Promise<boolean>
  /** Whether what the file held last could be used, and when that was seen, in Unix milliseconds. Undefined while there is none. */
  last(): { ok: boolean; at: number } | undefined
}

/** Where the checks are. */
export type ChecksFileConfig<S extends z.ZodType = z.ZodType> = Pick<ParseOptions<S>, 'probe' | 'isDiscovered'> & {
  /** Without a file there are no checks, and nothing is followed. */
  path: string | undefined
  /** Where Secrets are looked for whose reference names no namespace. */
  namespace?: string | undefined
}

/** What is needed to follow a checks file. */
export type ChecksFileNeeds = {
  /** To read Secrets that the file refers to, which is refused without. */
  cluster?: Pick<Cluster, 'request'> | undefined
  clock: Clock
  log: Log
  files?: Files | undefined
}

// Events get lost on network file systems and when the folder itself is replaced; and files of secrets stand elsewhere.
const pollMs = 30_000
/** While Secrets of the cluster cannot be read, so that what is needed is there soon after the API server is. */
const retryMs = 5_000
/** How long Secrets of the cluster are waited for at the start. */
const firstReadMs = 5_000
/** Writers of several chunks are let finish. */
const settleMs = 50

/** What the file says, and what the Secrets of the cluster hold that it refers to. */
type Content = { text: string; secrets: Map<string, string | Error>; isWaiting: boolean }

/**
 * Follows the checks file and the secrets that it names. Content with faults is logged once, with all of them, and the checks before stay
 * in force. The folder is watched, since Kubernetes replaces the link `..data` beside a mounted file.
 *
 * At the start a faulty file is refused. Only Secrets of the cluster that cannot be read are waited for, without checks: the API server
 * may be what is down.
 */
export function createChecksFile<S extends z.ZodType>(
  { path, namespace = 'skerry', ...options }: ChecksFileConfig<S>,
  { cluster, clock, log, files = systemFiles }: ChecksFileNeeds,
): FollowedChecks<z.output<S>> {
  const ending = new AbortController()
  const listeners = new Set<() => void>()
  const readSecrets = cluster && createSecretReader(cluster, namespace)
  let current: ChecksFile<z.output<S>> | undefined
  /** What the current checks were made of. */
  let print: string | undefined
  /** What Secrets held when they could last be read. */
  let secrets = new Map<string, string | Error>()
  let isWaiting = false
  let refused: string | undefined
  let last: { ok: boolean; at: number } | undefined
  let changed = new AbortController()
  let watcher: FSWatcher | undefined
  let following: Promise<void> | undefined
  let looking: Promise<unknown> = Promise.resolve()

  async function look(file: string, signal: AbortSignal): Promise<Content> {
    const text = readText(files, file, maxConfigBytes)
    const found = (await readSecrets?.(secretReferences(text), signal)) ?? new Map<string, string | Error>()
    let isWaiting = false
    for (const [key, value] of found) {
      if (!(value instanceof Error) || value instanceof MissingSecret) continue
      isWaiting = true
      // One that could be read before is still the best guess.
      found.set(key, secrets.get(key) ?? value)
    }
    return { text, secrets: found, isWaiting }
  }

  /** Reads it, and takes it if it is sound. @returns what is wrong with it, or whether it is as it was */
  async function take(file: string, signal: AbortSignal): Promise<{ faults: string[] } | 'same' | 'taken'> {
    let content: Content
    try {
      content = await look(file, signal)
    } catch (error) {
      return { faults: [`${file}: ${(error as Error).message}`] }
    }
    isWaiting = content.isWaiting
    secrets = content.secrets
    if (last?.ok === true && printOf(content, current?.secretFiles) === print) return 'same'
    const parsed = parseChecks(content.text, { ...options, files, secrets })
    if ('faults' in parsed) return { faults: parsed.faults.map((fault) => sayFault(fault, file)) }
    current = parsed
    print = printOf(content, parsed.secretFiles)
    return 'taken'
  }

  /** The first time. Everything else of the monitor waits for it, so Secrets that take long are left to the times after. */
  async function takeFirst(file: string): Promise<Awaited<ReturnType<typeof take>>> {
    const tooLate = new AbortController()
    const over = new AbortController()
    clock.sleep(firstReadMs, over.signal).then(
      () => tooLate.abort(new DOMException('no answer in time', 'TimeoutError')),
      () => {},
    )
    try {
      return await take(file, AbortSignal.any([ending.signal, tooLate.signal]))
    } finally {
      over.abort()
    }
  }

  function printOf({ text, secrets }: Content, secretFiles: readonly string[] = []): string {
    const held = secretFiles.map((file) => textOr(file, files))
    const known = [...secrets].map(([key, value]) => [key, value instanceof Error ? value.message : value])
    return hash('sha256', JSON.stringify([text, held, known]))
  }

  /** One after the other: two at a time might leave what was read first. */
  function reread(file: string): Promise<boolean> {
    const next = looking.then(async () => {
      const outcome = await take(file, ending.signal)
      if (ending.signal.aborted) return last?.ok === true
      if (outcome === 'same') return true
      last = { ok: outcome === 'taken', at: clock.now() }
      if (outcome === 'taken') {
        refused = undefined
        log.info({ file, checks: current?.checks.length }, 'checks read again')
        for (const listener of listeners) listener()
        return true
      }
      const said = outcome.faults.join('\n')
      if (said !== refused)
        log.error({ file, faults: outcome.faults }, 'changed checks refused, those before stay in force: correct what the faults name')
      refused = said
      return false
    })
    looking = next.catch(() => {})
    return next
  }

  async function follow(file: string): Promise<void> {
    while (!ending.signal.aborted) {
      await clock.sleep(isWaiting ? retryMs : pollMs, AbortSignal.any([ending.signal, changed.signal])).catch(() => {})
      if (changed.signal.aborted) await clock.sleep(settleMs, ending.signal).catch(() => {})
      if (ending.signal.aborted) return
      changed = new AbortController()
      await reread(file).catch((error: unknown) => log.error({ err: error, file }, 'the checks could not be taken up'))
    }
  }

  return {
    name: 'checks file',
    checks: () => current?.checks ?? [],
    probe: () => current?.probe,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    reload: async () => path === undefined || reread(path),
    last: () => last,
    async start() {
      if (path === undefined) return
      // Watched first: what changes while it is read is read again.
      watcher = watchFolder(dirname(path), () => changed.abort(), log)
      const outcome = await takeFirst(path)
      last = { ok: outcome === 'taken', at: clock.now() }
      if (typeof outcome === 'object' && !isWaiting) {
        watcher?.close()
        throw new Error(`the checks file cannot be used:\n${outcome.faults.join('\n')}`)
      }
      if (typeof outcome === 'object')
        log.warn({ file: path, faults: outcome.faults }, 'Secrets that the checks need cannot be read, there are no checks until they can')
      following = follow(path)
    },
    async stop() {
      ending.abort(new Error('told to stop'))
      watcher?.close()
      await Promise.all([following, looking])
    },
  }
}

/** The text of a file of a secret, or why there is none: either may change. */
function textOr(path: string, files: Files): string {
  try {
    return readText(files, path, maxConfigBytes)
  } catch (error) {
    return (error as Error).message
  }
}
