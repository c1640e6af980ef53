import * as z from 'zod'
import { type BodyFault, FaultList } from '../../../shared/errors.ts'
import { asFault, parseWith } from '../../../shared/faults.ts'
import { pointerTo } from '../../../shared/json-pointer.ts'
import { readRegionValue } from '../reading.ts'
import { regionFileBounds } from '../schema.ts'
import { openedSecrets } from '../secrets.ts'
import { parseRegionText } from '../text.ts'
import type { GivenFile } from './plan.ts'

/** A file to import, or everything that is wrong with it. */
export type ReadImport = { ok: true; value: GivenFile } | { ok: false; faults: BodyFault[]; more: number }

/**
 * Reads what is to be imported: a region file; or an object with that as `file`, and as `secrets` what `open-export` printed.
 * @throws the reason of the signal
 */
export async function readImport(bytes: Uint8Array, signal?: AbortSignal): Promise<ReadImport> {
  const faults = new FaultList<BodyFault>()
  const given = await parseRegionText(bytes, faults, signal)
  if (faults.found.length > 0) return { ok: false, faults: faults.found, more: faults.more }
  if (!hasSecrets(given)) return readAlone(given, undefined, signal)
  judgeTexts(given.secrets, faults)
  if (faults.found.length > 0) return { ok: false, faults: faults.found, more: faults.more }
  const read = parseWith(withSecrets, given)
  if (!read.ok) return { ok: false, faults: read.faults.map((each) => asFault(each)), more: read.more }
  const { databases, retained } = read.value.secrets
  return readAlone(given.file, { databases, retained }, signal)
}

async function readAlone(file: unknown, secrets: GivenFile['secrets'], signal: AbortSignal | undefined): Promise<ReadImport> {
  const found = await readRegionValue(file, signal)
  if (!found.ok) return secrets ? { ...found, faults: found.faults.map((each) => ({ ...each, path: `/file${each.path}` })) } : found
  const { document, digest, origin } = found
  return { ok: true, value: { document, digest, origin, ...(secrets && { secrets }) } }
}

const withSecrets = z.strictObject({ file: z.unknown(), secrets: openedSecrets })

/** A region file alone has neither member. */
function hasSecrets(given: unknown): given is { file?: unknown; secrets?: unknown } {
  return isRecord(given) && ['file', 'secrets'].some((name) => Object.hasOwn(given, name))
}

/** One by one: a schema keeps everything that is wrong with a million texts, which takes gigabytes. */
function judgeTexts(secrets: unknown, faults: FaultList<BodyFault>): void {
  if (!isRecord(secrets)) return
  for (const member of ['databases', 'retained']) {
    const given = secrets[member]
    if (!isRecord(given)) continue
    for (const name of Object.keys(given)) {
      if (faults.more > regionFileBounds.faults) return
      const texts = given[name]
      const at = (place: string[]) => pointerTo(['secrets', member, name, ...place])
      if (!isRecord(texts)) faults.add(() => ({ path: at([]), message: 'must be an object of texts' }))
      else
        for (const [place, text] of Object.entries(texts))
          if (typeof text !== 'string') faults.add(() => ({ path: at([place]), message: 'must be a text' }))
    }
  }
}

function isRecord(given: unknown): given is Record<string, unknown> {
  return typeof given === 'object' && given !== null && !Array.isArray(given)
}
