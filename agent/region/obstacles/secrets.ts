import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { Obstacle } from '../../resources/operation.ts'
import type { Evidence } from './evidence.ts'

/** A Secret that the database or the project refers to and that is not there. */
export function secretMissing({ missingSecrets }: Evidence): Obstacle[] {
  return missingSecrets.map(({ namespace, name, usedFor, isPullSecret }) => ({
    code: 'SecretMissing',
    message: `Secret ${namespace}/${name} does not exist; it is needed for ${usedFor}.`,
    evidence: `Secret ${namespace}/${name}`,
    cure: isPullSecret
      ? `Create it: kubectl --namespace ${namespace} create secret docker-registry ${name} --docker-server=… --docker-username=… --docker-password=…`
      : `Create it again, by repeating the request that held it or with: kubectl --namespace ${namespace} create secret generic ${name} --from-file=KEY=FILE`,
  }))
}

/** The Secrets that a CrateDB refers to, by name, and what for: the place of the first reference. */
export function secretsOf(database: KubernetesObject): Map<string, string> {
  const found = new Map<string, string>()
  const walk = (value: unknown, path: string): void => {
    if (value === null || typeof value !== 'object') return
    for (const [key, field] of Object.entries(value)) {
      if (key === 'secretKeyRef' && typeof field?.name === 'string') {
        if (!found.has(field.name)) found.set(field.name, path)
      } else walk(field, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`)
    }
  }
  walk(database.spec, 'spec')
  return found
}
