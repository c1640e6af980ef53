import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type AccountStore, accountText, addAccounts, readAccount } from '../../shared/link/index.ts'

/** Keeps the bytes of each day in a file, written beside it and renamed. A file that is damaged counts as none. */
export function createFileAccount(file: string): AccountStore {
  async function read() {
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    return readAccount(text)
  }

  return {
    read,
    async add(news) {
      const account = addAccounts(await read(), news)
      await mkdir(path.dirname(file), { recursive: true })
      const beside = `${file}.new`
      try {
        await writeFile(beside, `${accountText(account)}\n`, { mode: 0o600 })
        await rename(beside, file)
      } catch (error) {
        await rm(beside, { force: true }).catch(() => {}) // half a file would keep the space of a full disk
        throw error
      }
      return account
    },
  }
}
