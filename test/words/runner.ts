import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type KubernetesObject, keyOf, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { installedTool, type World } from '../cluster/index.ts'
import { findCommands } from './commands.ts'
import type { Front } from './kubelets.ts'
import { register, textOf } from './register.ts'

export type Ran = { code: number; out: string; err: string }

export type RunOptions = {
  /** What stands for the placeholders of the text: `NAME`, `skerry1.…`. */
  values?: Record<string, string>
  env?: Record<string, string>
  /** Below the folder of the runner. */
  cwd?: string
  /** There is a terminal, at which somebody types these lines. */
  typed?: string
  /** What it ends with; 0 when left out. */
  code?: number
  /** Between the lines: until a command that stays, and so is put into the background, can be used. It is ended when the script ends. */
  between?: string
  /** The volumes, claims and databases are others afterwards: the text says so, or they are only made. */
  loses?: boolean
}

/** Runs what texts tell people to run, as it stands there, with the real kubectl and helm, in a folder of its own. */
export type Runner = {
  folder: string
  /**
   * Runs a command that is in the register for this story. Fails when it ends otherwise than it should, when one that only looks writes
   * anything, and when volumes, claims or databases are not what they were, unless its text says that it destroys.
   */
  run(text: string | string[], options?: RunOptions): Promise<Ran>
  /** The same for commands that a program has printed. */
  runShown(shown: string | string[], options?: RunOptions): Promise<Ran>
  /** Runs what no text has. */
  runAny(command: string, options?: RunOptions): Promise<Ran>
  /** Volumes, claims and databases, by name, as they are now. */
  bytes(): Promise<string[]>
  /** A program for the PATH, in the language of the shell. */
  addProgram(name: string, script: string): Promise<void>
  /** Commands of this story that have not been run. */
  notRun(): string[]
  close(): Promise<void>
}

export async function createRunner(story: string, { front, world }: { front: Front; world: World }): Promise<Runner> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-words-'))
  const tools = join(folder, 'bin')
  await mkdir(tools)
  for (const tool of ['kubectl', 'helm'] as const) await symlink(await installedTool(tool), join(tools, tool))
  await symlink(process.execPath, join(tools, 'node'))
  await cp('deploy', join(folder, 'deploy'), { recursive: true, dereference: true })
  await writeFile(join(folder, 'kubeconfig'), front.kubeconfig, { mode: 0o600 })
  const found = findCommands()
  const ran = new Set<string>()
  const usual = {
    PATH: `${tools}:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: folder,
    TMPDIR: folder,
    KUBECONFIG: join(folder, 'kubeconfig'),
    KUBECTL_KUBERC: 'false',
    SKERRY_LOG: join(folder, 'install.log'),
  }

  /** What data hangs on, by name. */
  async function bytes(): Promise<string[]> {
    const all = await Promise.all(
      [kinds.PersistentVolume, kinds.PersistentVolumeClaim, kinds.CrateDB].map(async (kind) => {
        const { items } = await world.cluster.request<{ items: KubernetesObject[] }>({ method: 'GET', path: pathOf(kind) })
        return items.map(({ metadata, spec }) => {
          const policy = spec?.persistentVolumeReclaimPolicy ?? ''
          return `${kind.kind} ${keyOf(metadata)} ${metadata.uid} ${policy} ${metadata.deletionTimestamp ? 'leaving' : ''}`.trim()
        })
      }),
    )
    return all.flat().sort()
  }

  async function execute(command: string, { env = {}, cwd = '', typed }: RunOptions): Promise<Ran> {
    const words = typed === undefined ? ['bash', '-c', command] : ['script', '--quiet', '--return', '--command', command, '/dev/null']
    const child = spawn(words[0] as string, words.slice(1), {
      env: { ...usual, SHELL: '/bin/bash', ...env },
      cwd: join(folder, cwd),
      timeout: 120_000,
    })
    child.stdin.on('error', () => {})
    child.stdin.end(typed ?? '')
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    const [code] = await once(child, 'close')
    return { code: code ?? -1, out, err }
  }

  /** @param shown the commands as they are shown, lines of one script */
  async function run(shown: string | string[], textFor: (command: string) => string | undefined, options: RunOptions): Promise<Ran> {
    const commands = [shown].flat()
    const entries = commands.map((command) => {
      const text = textFor(command)
      assert.ok(text, `no text has this: ${command}`)
      const entry = register.get(text)
      assert.equal(entry?.story, story, `in the register: ${text}`)
      return { text, effect: entry?.effect }
    })
    const before = await bytes()
    front.takeWrites()
    const lines = commands.map((command) => filledIn(command, options.values))
    const ending = options.between === undefined ? [] : [`trap 'kill $(jobs -p) 2>/dev/null' EXIT`]
    const result = await execute([...ending, lines.join(`\n${options.between ?? ''}\n`)].join('\n'), options)
    assert.equal(result.code, options.code ?? 0, `${lines.join('\n')}\n${result.out}\n${result.err}`)
    if (entries.every(({ effect }) => effect === 'looks')) assert.deepEqual(front.takeWrites(), [], `it only looks: ${commands.join('\n')}`)
    if (entries.every(({ effect }) => effect !== 'destroys') && !options.loses) assert.deepEqual(await bytes(), before, commands.join('\n'))
    for (const { text } of entries) ran.add(text)
    return result
  }

  return {
    folder,
    bytes,
    runAny: (command, options = {}) => execute(command, options),
    run: (texts, options = {}) => run(texts, (command) => found.find(({ text }) => text === command)?.text, options),
    runShown: (shown, options = {}) => run(shown, (command) => textOf(command, found), options),
    addProgram: async (name, script) => {
      await rm(join(tools, name), { force: true })
      await writeFile(join(tools, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    },
    notRun: () => [...register].flatMap(([text, entry]) => (entry.story === story && !ran.has(text) ? [text] : [])),
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

/** The longest first: `NAMESPACE` is not `NAME` with something behind it. */
function filledIn(command: string, values: Record<string, string> = {}): string {
  const names = Object.keys(values).sort((a, b) => b.length - a.length)
  return names.reduce(
    (text, name) => text.replaceAll(/^\w+$/.test(name) ? new RegExp(`\\b${name}\\b`, 'g') : name, () => values[name] as string),
    command,
  )
}
