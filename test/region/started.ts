import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import type { Place } from './place.ts'

/** A running `npm start`. */
type Started = {
  child: ChildProcess
  said: string[]
  errors: Promise<string>
  exited: Promise<number | NodeJS.Signals>
  /** Resolves with the first line of which this is a part. Rejects with what was said when it ends before that. */
  says(part: string): Promise<string>
  /** Its folder and what is in region.json, once that is written. */
  place(): Promise<{ folder: string } & Place>
}

/** With `npm` as the program, as a visitor starts it; else without npm. It is ended with the test. */
export function spawnStart(
  t: TestContext,
  options: string[],
  { npm = false, env = {} }: { npm?: boolean; env?: Record<string, string> } = {},
): Started {
  const [program, ...words] = npm ? ['npm', 'start', '--'] : [process.execPath, 'test/region/main.ts']
  const child = spawn(program as string, [...words, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    detached: true,
  })
  // Not 'exit', after which its last lines may still be to come.
  const exited = once(child, 'close').then(([code, signal]) => signal ?? code)
  t.after(async () => {
    // It has programs of its own to end.
    if (child.exitCode === null && child.signalCode === null && child.kill('SIGTERM')) await exited
  })
  const said: string[] = []
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  lines.on('line', (line) => said.push(line))
  const errors = text(child.stderr as NodeJS.ReadableStream)
  const says = async (part: string) => {
    for (;;) {
      const line = said.find((each) => each.includes(part))
      if (line !== undefined) return line
      const ended = await Promise.race([once(lines, 'line').then(() => false), exited.then(() => true)])
      if (ended && !said.some((each) => each.includes(part))) throw new Error(`${part} is not said:\n${said.join('\n')}\n${await errors}`)
    }
  }
  return {
    child,
    said,
    errors,
    exited,
    says,
    async place() {
      const file = /: (\S+region\.json)/.exec(await says('region.json'))?.[1] as string
      return { folder: path.dirname(file), ...JSON.parse(await readFile(file, 'utf8')) }
    },
  }
}

/** Runs `npm start` to its end. */
export async function start(...options: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, ['test/region/main.ts', ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err, [code]] = await Promise.all([
    text(child.stdout as NodeJS.ReadableStream),
    text(child.stderr as NodeJS.ReadableStream),
    once(child, 'exit'),
  ])
  return { code, out, err }
}
