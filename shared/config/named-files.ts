import type { FaultAt } from '../faults.ts'
import { fieldKind } from '../fields.ts'
import { fieldSchemas, type Schema } from '../schema.ts'
import { type Files, readBytes } from './file.ts'
import { inside } from './secrets.ts'

/** A bundle of the CAs of the whole world has a quarter of this. */
const maxBytes = 1024 * 1024

/** The faults of the files that a valid configuration names in fields of `fileToRead()`, which the program reads only later. */
export function namedFileFaults(schema: Schema, value: unknown, files: Files, path: (string | number)[] = []): FaultAt[] {
  return inside(value).flatMap(([name, each]) => {
    const here = [...path, name]
    const fields = fieldSchemas(schema, String(name), value)
    if (typeof each === 'string' && fields.some((field) => fieldKind(field) === 'file')) return faultsOf(each, files, here)
    return fields.flatMap((field) => namedFileFaults(field, each, files, here))
  })
}

function faultsOf(file: string, files: Files, path: (string | number)[]): FaultAt[] {
  try {
    return readBytes(files, file, maxBytes).length === 0 ? [{ path, message: `names ${file}, which is empty`, isKey: false }] : []
  } catch (error) {
    return [{ path, message: `names ${file}: ${(error as Error).message}`, isKey: false }]
  }
}
