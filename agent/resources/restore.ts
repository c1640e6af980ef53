import * as z from 'zod'
import type { BodyFault } from '../../shared/errors.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { backupImageVariable, hasIdleBackups } from './backup-image.ts'
import { basePath, endpointUrl } from './bucket-fields.ts'
import { readDatabase, secretKeyRef } from './cratedb.ts'
import type { StoredDatabaseSpec } from './database.ts'
import { applied } from './database-plan.ts'
import { secretObject, toBase64 } from './database-secrets.ts'
import { type EndpointRules, endpointFault } from './endpoint.ts'
import { credential, databaseId } from './identifiers.ts'
import type { DatabaseTarget, Secrets, Step } from './kind.ts'
import { compareReleases, type OperatorRelease, releaseOf } from './release.ts'
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

// The operator has no field for a region here.
const source = z
  .strictObject({
    basePath: basePath.describe('Folder of the snapshots in the bucket').meta({ example: 'tidal-gauge' }),
    aws: z
      .strictObject({
        bucket: credential.describe('Bucket').meta({ example: 'harbour-snapshots' }),
        accessKeyId: credential.describe('Access key').meta({ example: 'AKIAEXAMPLE', writeOnly: true }),
        secretAccessKey: credential.describe('Secret access key').meta({ example: 'example', writeOnly: true }),
        endpointUrl: endpointUrl
          .optional()
          .describe("Address of the store, where it is not Amazon's; needs Crate Operator 2.64.0 or later")
          .meta({ example: 'https://s3.harbour.example' }),
      })
      .optional()
      .describe('A bucket on S3 or a compatible store')
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

/** One partition of a table. */
export type PartitionChoice = z.output<typeof partition>

const needs = { tables: 'tables', sections: 'sections', partitions: 'partitions' } as const

/** Body of `actions/restore`. */
export const restoreBody = z
  .strictObject({
    snapshot: z
      .string()
      .regex(/^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,254}$/, 'must be the name of a snapshot: letters, digits and _ . : -')
      .describe('Name of the snapshot in its repository; from snapshots, `latest` is the last one that succeeded')
      .meta({ example: '20260131120000' }),
    from: z
      .enum(['backups', 'snapshots'])
      .default('backups')
      .describe('Which backups: those of the Crate Operator, restored by it, or the own ones of Skerry, restored by SQL')
      .meta({ example: 'snapshots' }),
    into: databaseId
      .optional()
      .describe('From snapshots: the id of a new database of the project, which is made like this one and gets the tables')
      .meta({ example: 'tidal-gauge-as-of-monday' }),
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
    for (const { path, message } of placeFaults(body)) context.addIssue({ code: 'custom', path: [path], message })
  })
  .describe('A snapshot to restore into the database')

/** What does not go together with where the snapshot is. */
function placeFaults({ from, into, type, source }: { from: string; into?: string | undefined; type: string; source?: unknown }) {
  if (from === 'backups')
    return into === undefined
      ? []
      : [{ path: 'into', message: 'needs from "snapshots": the Crate Operator restores into the same database' }]
  return [
    ...(source === undefined ? [] : [{ path: 'source', message: 'must be left out for from "snapshots": their place is in the database' }]),
    ...(type === 'metadata' || type === 'sections'
      ? [
          {
            path: 'type',
            message:
              'must be "all", "tables" or "partitions" for from "snapshots": users would bring the former password of the user system',
          },
        ]
      : []),
  ]
}

/** The output of `restoreBody`. */
export type Restore = z.output<typeof restoreBody>

/** A restore without the values of its secrets. */
export type StoredRestore = Omit<Restore, 'source'> & {
  source?:
    | {
        basePath: string
        aws?: { bucket: string; endpointUrl?: string | undefined } | undefined
        azureBlob?: { container: string; accountName: string } | undefined
      }
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

/** Why the snapshot must not be read from where the request says; empty if it may. */
export function endpointFaults({ source }: StoredRestore, rules: EndpointRules): BodyFault[] {
  const message = source?.aws?.endpointUrl === undefined ? undefined : endpointFault(source.aws.endpointUrl, rules)
  return message === undefined ? [] : [{ path: '/source/aws/endpointUrl', message }]
}

/** Everything that decides whether the operator can restore from a store that is not Amazon's. */
export type RestoreFacts = {
  /** The present CrateDB, if it exists. */
  object?: KubernetesObject | undefined
  operator: OperatorRelease
  /** Whether the CRD has the field for the address; undefined if that is not known. */
  keepsEndpoint?: boolean | undefined
}

/** `restoreSnapshot.endpointUrl` exists since this release (crate/crate-operator#889). Older ones ignore the address. */
const endpointSince = '2.64.0'

/** Whether the restore needs the address of a store. The backups of a database that another tool made are described by its CrateDB alone. */
export function needsEndpoint(spec: StoredDatabaseSpec, { source }: StoredRestore, object: KubernetesObject | undefined): boolean {
  if (source) return source.aws?.endpointUrl !== undefined
  return spec.backups?.aws?.endpointUrl !== undefined || (object !== undefined && ownEndpoint(object) !== undefined)
}

/**
 * The reference to the address of the own backups' store; undefined if that is Amazon's. The reference stays when the address goes: then the
 * Secret has no such key any more. For backups of another tool there is nothing but the reference.
 */
function ownEndpoint(object: KubernetesObject): unknown {
  const { aws } = readDatabase(object).backups ?? {}
  const isKnown = aws !== undefined && aws.bucket !== ''
  return isKnown && aws.endpointUrl === undefined ? undefined : object.spec.backups?.aws?.endpointUrl
}

/** Why no snapshot can ever be restored into this database; empty if one can. */
export function neverRestores({ backups }: StoredDatabaseSpec, object?: KubernetesObject): BodyFault[] {
  // The operator pauses the exporter of backup metrics even if none exists, and then waits for it for a day.
  const isIdle = object !== undefined && hasIdleBackups(object)
  if (backups && !isIdle) return []
  const message = isIdle
    ? `the Crate Operator restores only into databases whose backups it has set up, and it has not set up those of this one: it had no ${backupImageVariable} then`
    : 'the Crate Operator restores only into databases with backups; create one with backups and restore into it'
  return [{ path: '', message }]
}

/** Why the snapshot cannot be restored into this database at present; empty if it can. */
export function restoreRefusals(spec: StoredDatabaseSpec, restore: StoredRestore, facts: RestoreFacts): BodyFault[] {
  if (spec.suspended) return [{ path: '', message: 'the database is suspended; use actions/resume first' }]
  // The fields that the operator reads have no path within a container, and backups on Azure have none either.
  if (!restore.source && spec.backups?.azureBlob) return [{ path: '/source', message: 'is required for a database with backups on Azure' }]
  return needsEndpoint(spec, restore, facts.object) ? withoutEndpoint(restore, facts) : []
}

/** Why the address of the store would be ignored; empty if it is not. */
function withoutEndpoint({ source }: StoredRestore, { operator, keepsEndpoint }: RestoreFacts): BodyFault[] {
  const path = source ? '/source/aws/endpointUrl' : '/source'
  const instead = `copy the snapshot to Amazon's S3 and name it ${source ? '' : 'under source '}without an endpointUrl`
  const runs = `the Crate Operator here is ${describeRelease(operator)}`
  if (operator.version !== undefined && compareReleases(releaseOf(operator.version), releaseOf(endpointSince)) < 0) {
    const message = `${runs}, and restores only from Amazon's own S3; restoring from another store needs ${endpointSince} or later: upgrade the operator and its CRD, or ${instead}`
    return [{ path, message }]
  }
  return keepsEndpoint === false ? [{ path, message: `${runs}, but ${crdLacksEndpoint}, or ${instead}` }] : []
}

/** Why a restore from another store would go wrong although the operator may be new enough. */
export const crdLacksEndpoint = `its CRD has no field restoreSnapshot.endpointUrl, so the operator would look for the snapshot on Amazon's own S3; install the CRD of ${endpointSince} or later (chart crate-operator-crds)`

function describeRelease({ version, image }: OperatorRelease): string {
  if (version !== undefined) return version
  return `of an unknown release (${image === undefined ? 'its Deployment was not found' : `its image is ${image}`})`
}

/** The agent's assumption about the operator, if this restore depends on one. */
export function endpointAssumption(spec: StoredDatabaseSpec, restore: StoredRestore, { object, operator }: RestoreFacts): string[] {
  if (operator.version !== undefined || !needsEndpoint(spec, restore, object)) return []
  return [
    `The Crate Operator is ${describeRelease(operator)}: the agent assumes ${endpointSince} or later, as its CRD has the field for the address. State it in crateOperator.version.`,
  ]
}

/** A change of a CrateDB that shows, as a dry run, whether the CRD has the field for an address: where it has not, the address is dropped. */
export function endpointProbe({ database }: DatabaseTarget) {
  const ref = secretKeyRef(restoreSecretName(database), 'endpoint-url')
  return { spec: { cluster: { restoreSnapshot: { snapshot: '', basePath: ref, endpointUrl: ref } } } }
}

/** Whether the CrateDB has an address to restore from. */
export function hasEndpoint({ spec }: KubernetesObject): boolean {
  return spec?.cluster?.restoreSnapshot?.endpointUrl !== undefined
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
  aws: { backupProvider: 'aws', required: ['bucket', 'accessKeyId', 'secretAccessKey'] },
  azureBlob: { backupProvider: 'azure_blob', required: ['container', 'accountName', 'accountKey'] },
}

/** The data of the restore's Secret, and the fields that refer to it. Without a source they are those of the database's own backups. */
function repository(target: DatabaseTarget, current: KubernetesObject, { source }: StoredRestore, secrets: Secrets) {
  const own = (key: string) => secretKeyRef(restoreSecretName(target.database), key)
  if (!source) {
    const { basePath, accessKeyId, secretAccessKey, bucket } = current.spec.backups.aws
    const endpointUrl = ownEndpoint(current)
    const fields = { backupProvider: 'aws', basePath: own('base-path'), accessKeyId, secretAccessKey, bucket }
    return {
      data: { 'base-path': toBase64(basePath ?? target.database) },
      fields: { ...fields, ...(endpointUrl === undefined ? {} : { endpointUrl }) },
    }
  }
  const kind = source.azureBlob ? 'azureBlob' : 'aws'
  const { backupProvider, required } = sources[kind]
  const fields = source.aws?.endpointUrl === undefined ? required : [...required, 'endpointUrl']
  const shown = new Map<string, string | undefined>(Object.entries({ ...source.aws, ...source.azureBlob }))
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
