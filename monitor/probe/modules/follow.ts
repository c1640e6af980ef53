import { hash } from 'node:crypto'
import type { Clock } from '../../../shared/clock.ts'
import { type Files, maxConfigBytes, readText, systemFiles, textOrFault } from '../../../shared/config/file.ts'
import { FileFollower } from '../../../shared/follow-file.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import type { Log } from '../../../shared/log.ts'
import { StartFault } from '../../../shared/process.ts'
import { loadConditionsFor } from '../../wire/conditions.ts'
import { type ReadModules, readModules } from './file.ts'

/** What following a file of modules needs. */
export type ModulesFileNeeds = { clock: Clock; log: Log; files?: Files | undefined }

/**
 * Follows a configuration of blackbox_exporter and the secrets that it names. A file that is none is logged once, with what is wrong, and
 * the modules from before stay in effect. The start fails if the file is none.
 */
export class FollowedModules implements Part {
  readonly name = 'modules file'
  readonly #path: string | undefined
  readonly #files: Files
  readonly #needs: ModulesFileNeeds
  readonly #follower: FileFollower
  #modules: ReadModules = new Map()
  #last: { ok: boolean; at: number } | undefined
  /** Of the content in effect; undefined if the last reading had faults. */
  #fingerprint: string | undefined
  /** The faults that were last logged. */
  #logged: string | undefined

  /** @param path without one, there are no modules */
  constructor(path: string | undefined, needs: ModulesFileNeeds) {
    this.#path = path
    this.#files = needs.files ?? systemFiles
    this.#needs = needs
    this.#follower = new FileFollower(path ?? '', { read: async () => this.#read(path ?? '') }, needs)
  }

  /** The modules of the file, as it last was without faults, with those that are refused. */
  modules(): ReadModules {
    return this.#modules
  }

  /** Whether the file had no faults when it was last read, and when that was, in Unix milliseconds. Undefined before the first reading. */
  last(): { ok: boolean; at: number } | undefined {
    return this.#last
  }

  /** Reads the file now. @returns whether it has no faults */
  async reload(): Promise<boolean> {
    return this.#path === undefined || this.#follower.read()
  }

  async start(): Promise<void> {
    if (this.#path === undefined) return
    this.#follower.watch()
    if (!(await this.#follower.read())) {
      await this.#follower.stop()
      throw new StartFault('the modules file cannot be used', this.#logged?.split('\n') ?? [])
    }
    this.#follower.follow()
  }

  async stop(): Promise<void> {
    await this.#follower.stop()
  }

  async #read(path: string): Promise<boolean> {
    let text: string
    try {
      text = readText(this.#files, path, maxConfigBytes)
      // Writing in place empties the file first. Read at that moment, it would take all modules away.
      if (this.#last !== undefined && text.trim() === '') throw new Error('it is empty; for no modules, write "modules: {}"')
    } catch (error) {
      return this.#refuse(path, [(error as Error).message])
    }
    await loadConditionsFor(text)
    if (this.#fingerprint !== undefined && this.#fingerprintOf(text) === this.#fingerprint) return true
    const read = readModules(text, this.#files)
    if ('faults' in read) return this.#refuse(path, read.faults)
    this.#take(path, read)
    this.#fingerprint = this.#fingerprintOf(text)
    return true
  }

  #take(file: string, modules: ReadModules): void {
    const { clock, log } = this.#needs
    this.#modules = modules
    this.#last = { ok: true, at: clock.now() }
    this.#logged = undefined
    const refused = [...modules].flatMap(([module, judged]) => ('refused' in judged ? [{ module, why: judged.refused }] : []))
    log.info({ file, modules: modules.size, refused: refused.length }, 'probe modules read')
    for (const { module, why } of refused) log.warn({ file, module, why }, 'probe module refused: its probes answer 400')
  }

  #refuse(file: string, faults: readonly string[]): false {
    const { clock, log } = this.#needs
    const isFirst = this.#last === undefined
    this.#last = { ok: false, at: clock.now() }
    this.#fingerprint = undefined
    const said = faults.map((fault) => `${file}: ${fault}`).join('\n')
    // The start tells the faults of the first reading itself.
    if (said !== this.#logged && !isFirst)
      log.error({ file, faults }, 'the changed modules file cannot be used, and the modules from before stay in effect: correct the faults')
    this.#logged = said
    return false
  }

  #fingerprintOf(text: string): string {
    const named = new Set([...this.#modules.values()].flatMap(({ secretFiles = [] }) => secretFiles))
    return hash('sha256', JSON.stringify([text, [...named].map((file) => textOrFault(this.#files, file, maxConfigBytes))]))
  }
}
