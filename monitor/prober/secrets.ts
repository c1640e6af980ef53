import { inside, type SecretFault } from '../../shared/config/secrets.ts'
import { Secret } from '../../shared/fields.ts'

/** A reference to a value in a Secret of the cluster; the checks file may have one in place of the path of a file. */
export type SecretReference = { secretName: string; key: string; namespace?: string }

/** The values of references, by `referenceKey`, or an Error where one could not be read. */
export type SecretValues = ReadonlyMap<string, string | Error>

/** The same text for every reference to the same value. */
export function referenceKey({ secretName, key, namespace = '' }: SecretReference): string {
  return `${namespace}/${secretName}/${key}`
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

/** `value` with a Secret in place of each reference, and the faults of the references. */
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

/** An object with exactly these fields. A test shows that no kind of check has an option of that shape. */
function isReference(value: unknown): value is SecretReference {
  if (typeof value !== 'object' || value === null) return false
  const { secretName, key, namespace, ...rest } = value as Record<string, unknown>
  const isText = (text: unknown) => typeof text === 'string' && text.length > 0 && text.length <= 253
  return isText(secretName) && isText(key) && (namespace === undefined || isText(namespace)) && Object.keys(rest).length === 0
}
