import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import type { StoredDatabaseSpec } from './database.ts'
import { type DatabaseTarget, namespaceOf, type Secrets } from './kind.ts'
import { label, managedBy } from './labels.ts'
import { snapshotSecretName } from './snapshots.ts'

/** One key of a Secret with its value: a secret, found by its place, or a plain text. */
type Entry = { key: string; place: string } | { key: string; text: string }

/** The metadata of every object of a database. */
export function databaseLabels({ project, database }: DatabaseTarget): Record<string, string> {
  return { ...managedBy, [label.project]: project, [label.database]: database }
}

/** The operator parses this name: after a change of the password, it finds the CrateDB's name between the prefix and the number. */
export function userSecretName(database: string, index: number): string {
  return `user-password-${database}-${index}`
}

/** Name and content of each Secret of a database; the keys are those of crate-operator's examples. */
function contents(
  { database }: DatabaseTarget,
  { users, backups, snapshots, ssl }: StoredDatabaseSpec,
): { name: string; entries: Entry[] }[] {
  const { aws, azureBlob } = backups ?? {}
  return [
    ...users.map((_, index) => ({
      name: userSecretName(database, index),
      entries: [{ key: 'password', place: `users.${index}.password` }],
    })),
    ...(aws
      ? [
          {
            name: `backup-${database}`,
            entries: [
              { key: 'access-key-id', place: 'backups.aws.accessKeyId' },
              { key: 'secret-access-key', place: 'backups.aws.secretAccessKey' },
              { key: 'bucket', text: aws.bucket },
              { key: 'region', text: aws.region },
              ...(aws.endpointUrl === undefined ? [] : [{ key: 'endpoint', text: aws.endpointUrl }]),
            ],
          },
        ]
      : []),
    ...(azureBlob
      ? [
          {
            name: `backup-${database}`,
            entries: [
              { key: 'account-key', place: 'backups.azureBlob.accountKey' },
              { key: 'account-name', text: azureBlob.accountName },
              { key: 'container', text: azureBlob.container },
              { key: 'region', text: azureBlob.region },
            ],
          },
        ]
      : []),
    ...(snapshots
      ? [
          {
            name: snapshotSecretName(database),
            entries: [
              { key: 'access-key-id', place: 'snapshots.s3.accessKeyId' },
              { key: 'secret-access-key', place: 'snapshots.s3.secretAccessKey' },
            ],
          },
        ]
      : []),
    ...(ssl
      ? [
          {
            name: `ssl-${database}`,
            entries: [
              { key: 'keystore', place: 'ssl.keystore' },
              { key: 'keystore-password', place: 'ssl.keystorePassword' },
              { key: 'keystore-key-password', place: 'ssl.keystoreKeyPassword' },
            ],
          },
        ]
      : []),
  ]
}

/**
 * The Secrets of a database, complete: server-side apply removes keys that are left out.
 *
 * @throws TypeError when a value is missing: `secretsNeeded` returns the required ones
 */
export function desiredSecrets(target: DatabaseTarget, spec: StoredDatabaseSpec, secrets: Secrets): KubernetesObject[] {
  return contents(target, spec).map(({ name, entries }) =>
    secretObject(target, name, Object.fromEntries(entries.map((entry) => [entry.key, encode(entry, secrets)]))),
  )
}

/** A Secret of a database. @param data in base64 */
export function secretObject(target: DatabaseTarget, name: string, data: Record<string, string>): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: namespaceOf(target.project), labels: databaseLabels(target) },
    type: 'Opaque',
    data,
  }
}

// `data`, not `stringData`, which is write-only: its fields could not be compared, and their owner could not be seen.
function encode(entry: Entry, secrets: Secrets): string {
  if ('text' in entry) return toBase64(entry.text)
  const value = Object.hasOwn(secrets, entry.place) ? secrets[entry.place] : undefined
  if (value === undefined) throw new TypeError(`the secret ${entry.place} is missing`)
  // A keystore is already base64, as a Secret holds it.
  return entry.place === 'ssl.keystore' ? value : toBase64(value)
}

/** The text in base64, as a Secret holds it. */
export function toBase64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}

/** The present values in a database's Secrets, by place; without those whose Secret or key does not exist. */
export function readSecrets(target: DatabaseTarget, spec: StoredDatabaseSpec, objects: KubernetesObject[]): Secrets {
  const namespace = namespaceOf(target.project)
  const found: Secrets = {}
  for (const { name, entries } of contents(target, spec)) {
    const object = objects.find(({ kind, metadata }) => kind === 'Secret' && metadata.name === name && metadata.namespace === namespace)
    for (const entry of entries) {
      const value: unknown = object?.data?.[entry.key]
      if (typeof value !== 'string' || !('place' in entry)) continue
      found[entry.place] = entry.place === 'ssl.keystore' ? value : Buffer.from(value, 'base64').toString('utf8')
    }
  }
  return found
}

/** The places whose value in a request differs from that in the cluster, for `refusals` and `planDatabase`. */
export function changedSecrets(given: Secrets, present: Secrets): string[] {
  return Object.keys(given).filter((place) => given[place] !== present[place])
}
