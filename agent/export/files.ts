import { readFile } from 'node:fs/promises'
import { Problem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { PrivateKey } from '../../shared/signing/key.ts'
import { regionFileBounds } from '../region-file/schema.ts'
import { collectSecrets, readEncryptionKey, sealSecrets } from '../region-file/secrets.ts'
import { writeRegionFile } from '../region-file/writing.ts'
import type { RegionMaker } from './maker.ts'
import type { MadeRegionFile } from './places/place.ts'

export type RegionFilesParts = {
  region: string
  /** The agent's own. */
  namespace: string
  maker: RegionMaker
  /** The key of the region; undefined as long as it has none. */
  key: () => Promise<PrivateKey | undefined>
  /** The public key of whoever may open the secrets of databases; undefined: nobody may, and the file has none. */
  recipientFile: string | undefined
  cluster: Pick<Cluster, 'request'>
}

/** Makes files of the region, signed by its key if it has one. */
export class RegionFiles {
  readonly #parts: RegionFilesParts

  constructor(parts: RegionFilesParts) {
    this.#parts = parts
  }

  /** The file without secrets. @throws Problem as `RegionMaker.make` does */
  plain(signal: AbortSignal): Promise<MadeRegionFile> {
    return this.#make(undefined, signal)
  }

  /** The file, with the encrypted part if somebody may open it. @throws Problem likewise; Error if the recipient's key is none */
  async whole(signal: AbortSignal): Promise<MadeRegionFile> {
    const { recipientFile } = this.#parts
    return this.#make(recipientFile === undefined ? undefined : await readRecipient(recipientFile), signal)
  }

  async #make(recipient: Awaited<ReturnType<typeof readRecipient>> | undefined, signal: AbortSignal): Promise<MadeRegionFile> {
    const { maker, key, region } = this.#parts
    const { document, projects, databases, retained } = await maker.make(signal)
    const collected = recipient && (await collectSecrets(this.#parts, databases, retained, signal))
    const secrets = recipient && collected && (await sealSecrets(collected.content, recipient))
    const source = { ...document, ...(secrets && { secrets }) }
    const file = await writeRegionFile(source, { key: await key(), besides: collected?.versions, signal })
    const isEmpty = projects === 0 && databases.length === 0 && retained.length === 0
    const { bytes } = regionFileBounds
    if (file.bytes.length > bytes)
      throw new Problem('wrong-state', `The file of the region would have more than ${bytes / 1024 / 1024} MiB.`)
    return { ...file, region, createdAt: document.createdAt, isEmpty, leftOut: document.leftOut }
  }
}

/** @throws Error with the path, and what is wrong */
export async function readRecipient(path: string) {
  try {
    return readEncryptionKey(await readFile(path, 'utf8'), 'public')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const what = code === 'ENOENT' ? 'there is no such file' : message
    throw new Error(`recovery.export.recipientFile: ${path}: ${what}`, { cause: error })
  }
}
