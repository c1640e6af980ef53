import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { Cure } from '../../resources/cure.ts'
import type { Obstacle } from '../../resources/operation.ts'
import { cures } from './cures.ts'
import { type Evidence, type MissingSecret, tell } from './evidence.ts'

/** A Secret that the database or the project refers to does not exist. */
export function secretMissing({ missingSecrets }: Evidence): Obstacle[] {
  return missingSecrets.map((secret) => {
    const { namespace, name, usedFor } = secret
    return tell({
      code: 'SecretMissing',
      message: `Secret ${namespace}/${name} does not exist; it is needed for ${usedFor}.`,
      evidence: `Secret ${namespace}/${name}`,
      cures: curesOf(secret),
    })
  })
}

function curesOf({ namespace, name, keys = [], isPullSecret }: MissingSecret): Cure[] {
  const { pull, repeat, create } = cures.SecretMissing
  if (isPullSecret) return [pull({ namespace, name })]
  const [key, ...others] = keys
  // A Secret with several keys also holds values that only the request contains, such as an address and a name.
  return key === undefined || others.length > 0 ? [repeat()] : [repeat(), create({ namespace, name, key })]
}

/** A CrateDB's references to a Secret: the path of the first one, and all keys that are read. */
export type SecretReference = { usedFor: string; keys: string[] }

/** The Secrets that a CrateDB refers to, by name. */
export function secretsOf(database: KubernetesObject): Map<string, SecretReference> {
  const found = new Map<string, SecretReference>()
  const walk = (value: unknown, path: string): void => {
    if (value === null || typeof value !== 'object') return
    for (const [key, field] of Object.entries(value)) {
      if (key === 'secretKeyRef' && typeof field?.name === 'string') {
        const { usedFor, keys } = found.get(field.name) ?? { usedFor: path, keys: [] }
        found.set(field.name, { usedFor, keys: [...new Set([...keys, String(field.key)])] })
      } else walk(field, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`)
    }
  }
  walk(database.spec, 'spec')
  return found
}
