import type { BodyFault } from '../../../shared/errors.ts'
import { asFault, parseWith } from '../../../shared/faults.ts'
import { readRegionFile } from '../reading.ts'
import { openedSecrets } from '../secrets.ts'
import type { GivenFile } from './plan.ts'

/** A file to import, or everything that is wrong with it. */
export type ReadImport = { ok: true; value: GivenFile } | { ok: false; faults: BodyFault[]; more: number }

/**
 * Reads what is to be imported: a region file; or an object with that as `file`, and as `secrets` what `open-export` printed.
 * @throws the reason of the signal
 */
export async function readImport(bytes: Uint8Array, signal?: AbortSignal): Promise<ReadImport> {
  const both = withSecrets(bytes)
  if (both && 'faults' in both) return both
  const found = await readRegionFile(both?.file ?? bytes, signal && { signal })
  if (!found.ok) return found
  const { document, digest, origin } = found
  return { ok: true, value: { document, digest, origin, ...(both && { secrets: both.secrets }) } }
}

type Both = { file: Buffer; secrets: NonNullable<GivenFile['secrets']> }

/** Undefined for a region file alone, and for what is none: its reader says what is wrong with it. */
function withSecrets(bytes: Uint8Array): Both | { ok: false; faults: BodyFault[]; more: number } | undefined {
  const beginning = Buffer.from(bytes.subarray(0, 64)).toString('latin1')
  if (!/^\s*\{\s*"(file|secrets)"\s*:/.test(beginning)) return undefined
  let given: { file?: unknown; secrets?: unknown }
  try {
    given = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    return undefined
  }
  const read = parseWith(openedSecrets, given.secrets)
  if (!read.ok) return { ok: false, faults: read.faults.map((each) => asFault(each, '/secrets')), more: read.more }
  return {
    file: Buffer.from(JSON.stringify(given.file ?? null)),
    secrets: { databases: read.value.databases, retained: read.value.retained },
  }
}
