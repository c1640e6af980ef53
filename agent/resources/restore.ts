import * as z from 'zod'
import type { Fault } from '../../shared/errors.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { secretKeyRef } from './cratedb.ts'
import { basePath, type StoredDatabaseSpec } from './database.ts'
import { applied } from './database-plan.ts'
import { secretObject, toBase64 } from './database-secrets.ts'
import { credential } from './identifiers.ts'
import type { DatabaseTarget, Secrets, Step } from './kind.ts'
import { wrongType } from './wording.ts'

// The operator pastes each of these into SQL (restore_backup.py), so values that need quoting are refused.
const identifier = /^[a-z_][a-z0-9_]{0,254}$/
const column = z.string().regex(identifier, 'must be a column in lower case, of letters, digits and "_"')
const table = z
  .string()
  .max(255)
  .regex(/^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$/, 'must be schema and table in lower case, such as "doc.readings"')
const columnValue = z
  .union([z.string(), z.number(), z.boolean()], wrongType('must be text, a number, true or false'))
  .refine((value) => typeof value !== 'number' || Number.isSafeInteger(value), 'must be a whole number')
  .refine(
    (value) => typeof value !== 'string' || /^[A-Za-z0-9_][A-Za-z0-9_.: +-]{0,254}$/.test(value),
    'must be at most 255 letters, digits, spaces and _ . : + -, and begin with a letter, a digit or _',
  )

const partition = z.strictObject({
  table: table.describe('The table').meta({ example: 'doc.readings' }),
  columns: z
    .array(
      z.strictObject({
        name: column.describe('A column by which the table is partitioned').meta({ example: 'month' }),
        value: columnValue.describe('Its value in the partition').meta({ example: 1767225600000 }),
      }),
    )
    .min(1)
    .max(16)
    .describe('Which partition')
    .meta({ example: [{ name: 'month', value: 1767225600000 }] }),
})

// The operator accepts neither an endpoint nor a region here, so it can restore only from Amazon's own S3.
const source = z
  .strictObject({
    basePath: basePath.describe('Folder of the snapshots in the bucket').meta({ example: 'tidal-gauge' }),
    aws: z
      .strictObject({
        bucket: credential.describe('Bucket').meta({ example: 'harbour-snapshots' }),
        accessKeyId: credential.describe('Access key').meta({ example: 'AKIAEXAMPLE', writeOnly: true }),
        secretAccessKey: credential.describe('Secret access key').meta({ example: 'example', writeOnly: true }),
      })
      .optional()
      .describe('A bucket on S3')
      .meta({ example: { bucket: 'harbour-snapshots', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'example' } }),
    azureBlob: z
      .strictObject({
        container: credential.describe('Container').meta({ example: 'snapshots' }),
        accountName: credential.describe('Storage account').meta({ example: 'harbour' }),
        accountKey: credential.describe('Key of the storage account').meta({ example: 'example', writeOnly: true }),
      })
      .optional()
      .describe('A container on Azure')
      .meta({ example: { container: 'snapshots', accountName: 'harbour', accountKey: 'example' } }),
  })
  .refine(({ aws, azureBlob }) => (aws === undefined) !== (azureBlob === undefined), 'must have one of aws and azureBlob')

const needs = { tables: 'tables', sections: 'sections', partitions: 'partitions' } as const

/** Body of `actions/restore`. */
export const restoreBody = z
  .strictObject({
    snapshot: z
      .string()
      .regex(/^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,254}$/, 'must be the name of a snapshot: letters, digits and _ . : -')
      .describe('Name of the snapshot in its repository')
      .meta({ example: '20260131120000' }),
    type: z
      .enum(['all', 'tables', 'metadata', 'sections', 'partitions'])
      .default('all')
      .describe('What of it to restore')
      .meta({ example: 'tables' }),
    tables: z
      .array(table)
      .max(256)
      .default([])
      .describe('For type tables: which')
      .meta({ example: ['doc.readings'] }),
    sections: z
      .array(z.enum(['tables', 'views', 'users', 'privileges', 'analyzers', 'udfs']))
      .max(6)
      .default([])
      .describe('For type sections: which')
      .meta({ example: ['views'] }),
    partitions: z
      .array(partition)
      .max(256)
      .default([])
      .describe('For type partitions: which')
      .meta({ example: [{ table: 'doc.readings', columns: [{ name: 'month', value: 1767225600000 }] }] }),
    source: source
      .optional()
      .describe("Where the snapshot is; the database's own backups if left out")
      .meta({
        example: { basePath: 'tidal-gauge', aws: { bucket: 'harbour-snapshots', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'example' } },
      }),
  })
  .superRefine((body, context) => {
    for (const [type, field] of Object.entries(needs)) {
      const given = body[field].length > 0
      // The operator treats an empty list of tables as all tables.
      if (body.type === type && !given)
        context.addIssue({ code: 'custom', path: [field], message: `must name at least one for type ${type}` })
      if (body.type !== type && given)
        context.addIssue({ code: 'custom', path: [field], message: `must be left out for type ${body.type}` })
    }
  })
  .describe('A snapshot to restore into the database')

/** The output of `restoreBody`. */
export type Restore = z.output<typeof restoreBody>

/** A restore without the values of its secrets. */
export type StoredRestore = Omit<Restore, 'source'> & {
  source?:
    | { basePath: string; aws?: { bucket: string } | undefined; azureBlob?: { container: string; accountName: string } | undefined }
    | undefined
}

/** Splits a restore into its parameters and its secrets, these by place: `source.aws.secretAccessKey`. */
export function splitRestoreSecrets({ source, ...rest }: Restore): { restore: StoredRestore; secrets: Secrets } {
  if (source?.aws) {
    const { accessKeyId, secretAccessKey, ...aws } = source.aws
    const secrets = { 'source.aws.accessKeyId': accessKeyId, 'source.aws.secretAccessKey': secretAccessKey }
    return { restore: { ...rest, source: { basePath: source.basePath, aws } }, secrets }
  }
  if (source?.azureBlob) {
    const { accountKey, ...azureBlob } = source.azureBlob
    return {
      restore: { ...rest, source: { basePath: source.basePath, azureBlob } },
      secrets: { 'source.azureBlob.accountKey': accountKey },
    }
  }
  return { restore: rest, secrets: {} }
}

/** Why the snapshot cannot be restored into this database; empty if it can. */
export function restoreRefusals(spec: StoredDatabaseSpec, restore: StoredRestore): Fault[] {
  if (spec.suspended) return [{ path: '', message: 'the database is suspended; use actions/resume first' }]
  // The operator pauses the exporter of backup metrics even if none exists, and then waits for it for a day.
  if (!spec.backups) {
    return [
      { path: '', message: 'the Crate Operator restores only into databases with backups; create one with backups and restore into it' },
    ]
  }
  // The fields that the operator reads have no path within a container, and backups on Azure have none either.
  if (!restore.source && spec.backups.azureBlob) return [{ path: '/source', message: 'is required for a database with backups on Azure' }]
  if (!restore.source && spec.backups.aws?.endpointUrl !== undefined) {
    return [
      {
        path: '/source',
        message:
          "the Crate Operator restores only from Amazon's own S3, and the backups of this database are elsewhere; copy the snapshot there and name it here",
      },
    ]
  }
  return []
}

/** The name of the Secret for a restore. The operator deletes the Secret with this name when the restore has ended. */
function restoreSecretName(database: string): string {
  return `restore-from-backup-${database}`
}

/**
 * The only step of a restore: a Secret with the location of the snapshot, and the CrateDB that refers to it.
 *
 * @param current the present CrateDB; the rest of its spec does not change
 * @throws TypeError when a value is missing in `secrets`: `splitRestoreSecrets` returns them all
 */
export function restoreStep(target: DatabaseTarget, current: KubernetesObject, restore: StoredRestore, secrets: Secrets): Step {
  const { snapshot, type, tables, sections, partitions } = restore
  const { data, fields } = repository(target, current, restore, secrets)
  const cratedb = applied(target, current)
  cratedb.spec.cluster.restoreSnapshot = {
    snapshot,
    type,
    ...(tables.length === 0 ? {} : { tables }),
    ...(sections.length === 0 ? {} : { sections }),
    ...(partitions.length === 0 ? {} : { partitions: partitions.map(sqlPartition) }),
    ...fields,
  }
  return {
    name: 'restore',
    objects: [secretObject(target, restoreSecretName(target.database), data), cratedb],
    consequences: [
      'The restore fails if tables of the same names exist.',
      ...(type === 'all' || type === 'metadata' || sections.includes('users')
        ? ['Users and privileges of the snapshot are restored too; the admin user may be different afterwards.']
        : []),
      'Waits for a running snapshot to end; no snapshots are taken meanwhile.',
    ],
  }
}

function sqlPartition({ table, columns }: Restore['partitions'][number]) {
  // Strings become SQL literals here. They cannot contain quotes.
  return {
    table_ident: table,
    columns: columns.map(({ name, value }) => ({ name, value: typeof value === 'string' ? `'${value}'` : String(value) })),
  }
}

/** The operator's name for each kind of source, and the fields that it reads from the Secret. */
const sources = {
  aws: { backupProvider: 'aws', fields: ['bucket', 'accessKeyId', 'secretAccessKey'] },
  azureBlob: { backupProvider: 'azure_blob', fields: ['container', 'accountName', 'accountKey'] },
}

/** The data of the restore's Secret, and the fields that refer to it. Without a source they are those of the database's own backups. */
function repository(target: DatabaseTarget, current: KubernetesObject, { source }: StoredRestore, secrets: Secrets) {
  const own = (key: string) => secretKeyRef(restoreSecretName(target.database), key)
  if (!source) {
    const { basePath, accessKeyId, secretAccessKey, bucket } = current.spec.backups.aws
    return {
      data: { 'base-path': toBase64(basePath ?? target.database) },
      fields: { backupProvider: 'aws', basePath: own('base-path'), accessKeyId, secretAccessKey, bucket },
    }
  }
  const kind = source.azureBlob ? 'azureBlob' : 'aws'
  const { backupProvider, fields } = sources[kind]
  const shown = new Map<string, string>(Object.entries({ ...source.aws, ...source.azureBlob }))
  const values = ['basePath', ...fields].map((field) => {
    const value = field === 'basePath' ? source.basePath : (shown.get(field) ?? secrets[`source.${kind}.${field}`])
    if (value === undefined) throw new TypeError(`the secret source.${kind}.${field} is missing`)
    return { field, key: field.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), value: toBase64(value) }
  })
  return {
    data: Object.fromEntries(values.map(({ key, value }) => [key, value])),
    fields: { backupProvider, ...Object.fromEntries(values.map(({ field, key }) => [field, own(key)])) },
  }
}
