import { rename, writeFile } from 'node:fs/promises'
import { programPath } from './peer.ts'

/** A program gets another time of day; durations stay as they are. @throws Error without Debian's faketime */
function preloaded(): Record<string, string> {
  const library = programPath({ name: 'faketime', package: 'faketime', program: '/usr/lib/*/faketime/libfaketime.so.1' })
  return { LD_PRELOAD: library, FAKETIME_DONT_FAKE_MONOTONIC: '1' }
}

/** The environment of a program whose clock is that far off, such as `-3h`. @throws Error without Debian's faketime */
export function faketimeOf(offset: string): Record<string, string> {
  return { ...preloaded(), FAKETIME: offset }
}

/** The same of a program whose clock is set while it runs: within a second of each `set`. */
export async function settableTime(file: string): Promise<{ env: Record<string, string>; set(offset: string): Promise<void> }> {
  // The library may read it at any moment, and never finds half of it.
  const set = async (offset: string) => {
    await writeFile(`${file}.new`, `${offset}\n`)
    await rename(`${file}.new`, file)
  }
  await set('+0')
  return { env: { ...preloaded(), FAKETIME_TIMESTAMP_FILE: file, FAKETIME_CACHE_DURATION: '1' }, set }
}
