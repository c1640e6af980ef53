import { inside, type SecretFault } from '../../shared/config/secrets.ts'
import { Secret } from '../../shared/fields.ts'

/** A value in a Secret of the cluster, as the checks file names it in place of the path of a file. */
export type SecretReference = { secretName: string; key: string; namespace?: string }

/** What references hold, by `referenceKey`; undefined when it could not be read, or why as an Error. */
export type SecretValues = ReadonlyMap<string, string | Error>

/** One text for each reference that means the same. */
export function referenceKey({ secretName, key, namespace = '' }: SecretReference): string {
  return `${namespace}/${secretName}/${key}`
}

/** The files of all secrets below `value`, each once. */
export function secretFilesOf(value: unknown): string[] {
  const found = new Set<string>()
  const search = (each: unknown): void => {
    if (each instanceof Secret) {
      if (each.file !== undefined) found.add(each.file)
    } else for (const [, part] of inside(each)) search(part)
  }
  search(value)
  return [...found]
}

/** The references below `value`, each once. */
export function referencesOf(value: unknown): SecretReference[] {
  const found = new Map<string, SecretReference>()
  const search = (each: unknown): void => {
    if (isReference(each)) found.set(referenceKey(each), each)
    else for (const [, part] of inside(each)) search(part)
  }
  search(value)
  return [...found.values()]
}

/** `value` with a Secret in place of each reference, and what was wrong with them. */
export function resolveReferences(
  value: unknown,
  values: SecretValues,
  path: (string | number)[] = [],
): { value: unknown; faults: SecretFault[] } {
  if (isReference(value)) {
    const found = values.get(referenceKey(value))
    const secret = new Secret({ value: typeof found === 'string' ? found.replace(/\r?\n$/, '') : '' })
    if (typeof found === 'string' && found !== '') return { value: secret, faults: [] }
    const why = found instanceof Error ? found.message : found === '' ? 'it is empty' : 'Secrets of the cluster cannot be read here'
    const message = `names key ${value.key} of the Secret ${value.namespace ? `${value.namespace}/` : ''}${value.secretName}: ${why}`
    return { value: secret, faults: [{ path, message }] }
  }
  if (typeof value !== 'object' || value === null || value instanceof Secret) return { value, faults: [] }
  const parts = inside(value).map(([name, each]) => [name, resolveReferences(each, values, [...path, name])] as const)
  const faults = parts.flatMap(([, part]) => part.faults)
  if (Array.isArray(value)) return { value: parts.map(([, part]) => part.value), faults }
  return { value: Object.fromEntries(parts.map(([name, part]) => [name, part.value])), faults }
}

/** An object of exactly these fields. No kind of check has an option of that shape: see the tests. */
function isReference(value: unknown): value is SecretReference {
  if (typeof value !== 'object' || value === null) return false
  const { secretName, key, namespace, ...rest } = value as Record<string, unknown>
  const isText = (text: unknown) => typeof text === 'string' && text.length > 0 && text.length <= 253
  return isText(secretName) && isText(key) && (namespace === undefined || isText(namespace)) && Object.keys(rest).length === 0
}
