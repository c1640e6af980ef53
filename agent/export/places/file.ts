import { randomBytes } from 'node:crypto'
import { constants, copyFile, link, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type Place, PlaceFault } from './place.ts'

/** Only the account of the agent reads it: the file says where all data is. */
const mode = 0o600

/**
 * A file on the disk of whoever leads. It is written beside its name and then renamed, so that there is a whole one at any moment, whatever ends
 * this process.
 */
export function filePlace(given: string): Place {
  return {
    name: 'file',
    waits: () => undefined,
    pauseMs: () => 0,
    async write({ bytes, createdAt }, signal, isFirst = false) {
      const path = await whereItIs(given)
      const [folder, name] = [dirname(path), basename(path)]
      const unfinished = join(folder, `.${name}.${randomBytes(6).toString('hex')}.tmp`)
      try {
        await writeDurably(unfinished, bytes, signal)
        if (isFirst) await setAside(path, `${path}.before-${createdAt.slice(0, 19).replaceAll(/[-:]/g, '')}Z`)
        await rename(unfinished, path)
        await forceFolder(folder)
        await removeUnfinished(folder, name)
      } catch (error) {
        await rm(unfinished, { force: true }).catch(() => {})
        signal.throwIfAborted()
        const { code } = error as NodeJS.ErrnoException
        throw unwritable(given, meaningOf(code), error)
      }
    },
  }
}

/**
 * Where a link leads to, so that the disk that it names has the file. Anything but a file is refused: a device or a pipe would be replaced by a file.
 * @throws PlaceFault
 */
async function whereItIs(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) return path
  if (found.isDirectory()) throw unwritable(path, 'it is a folder')
  if (!found.isFile()) throw unwritable(path, 'it is a device or a pipe, and no file')
  return realpath(path)
}

function unwritable(path: string, meaning: string, cause?: unknown): PlaceFault {
  return new PlaceFault(`${path} cannot be written: ${meaning}.`, { cause })
}

/** What is there gets another name as well, which it keeps. */
async function setAside(path: string, aside: string): Promise<void> {
  try {
    await link(path, aside)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // There is none, or an attempt before this one got so far.
    if (code === 'ENOENT' || code === 'EEXIST') return
    // Not every file system has hard links.
    await copyFile(path, aside, constants.COPYFILE_EXCL)
  }
}

/** Until the bytes are on the disk: a rename is of no use to a file that a power cut empties. */
async function writeDurably(path: string, bytes: Buffer, signal: AbortSignal): Promise<void> {
  const file = await open(path, 'wx', mode)
  try {
    await file.writeFile(bytes, { signal })
    await file.sync()
  } finally {
    await file.close()
  }
}

async function forceFolder(path: string): Promise<void> {
  const folder = await open(path)
  // Not every file system can: then its own order of writes has to do.
  await folder.sync().catch(() => {})
  await folder.close()
}

/** What a process has left that was killed in the middle. */
async function removeUnfinished(folder: string, name: string): Promise<void> {
  const left = (await readdir(folder)).filter((each) => each.startsWith(`.${name}.`) && each.endsWith('.tmp'))
  for (const each of left) await rm(join(folder, each), { force: true }).catch(() => {})
}

function meaningOf(code: string | undefined): string {
  switch (code) {
    case 'ENOENT':
      return 'its folder does not exist'
    case 'EACCES':
    case 'EPERM':
      return 'the account of the agent may not write into its folder'
    case 'EROFS':
      return 'its file system is read-only. In a pod, give it a volume'
    case 'ENOSPC':
    case 'EDQUOT':
      return 'the disk is full'
    case 'EISDIR':
      return 'it is a folder'
    default:
      return code ?? 'for a reason that is in the log of the agent'
  }
}
