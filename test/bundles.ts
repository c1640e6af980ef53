import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { promisify } from 'node:util'

const cache = resolve('node_modules/.cache')

/** Builds the programs as the images have them, in a folder of its own, which goes with the end of its use. */
export async function buildBundles(): Promise<AsyncDisposable & { folder: string }> {
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(`${cache}/bundles-`)
  await promisify(execFile)(process.execPath, ['deploy/build.ts', folder])
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}
