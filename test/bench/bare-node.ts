import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { processFacts } from './proc.ts'

/** The floor under every program of ours: Node itself, spawned as they are, with the arguments that the images give them. */
function spawnNode(nodeArguments: readonly string[], script: string) {
  const { PATH = '' } = process.env
  return spawn(process.execPath, [...nodeArguments, '--eval', script], { env: { PATH }, stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Milliseconds from the spawn of `node --eval 0` until its exit. */
export async function bareStartMs(nodeArguments: readonly string[]): Promise<number> {
  const started = performance.now()
  await once(spawnNode(nodeArguments, '0'), 'exit')
  return performance.now() - started
}

/** Resident MiB of a Node that waits and does nothing else. */
export async function bareMiB(nodeArguments: readonly string[]): Promise<number> {
  const child = spawnNode(nodeArguments, 'setInterval(() => {}, 60_000)')
  try {
    await sleep(2_000)
    return processFacts(child.pid as number).rss
  } finally {
    child.kill()
    await once(child, 'exit')
  }
}
