import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backupImageOf, hasIdleBackups } from '../../../agent/resources/backup-image.ts'
import { desiredCrateDB } from '../../../agent/resources/cratedb.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { options, stored, target } from './samples.ts'

const name = 'CRATEDB_OPERATOR_CLUSTER_BACKUP_IMAGE'
const operator = (...containers: object[]): KubernetesObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'crate-operator' },
  spec: { template: { spec: { containers } } },
})
const images: { name: string; deployment: KubernetesObject; image: string }[] = [
  { name: 'a value', deployment: operator({ env: [{ name, value: 'site.example/backup:1' }] }), image: 'set' },
  { name: 'no variable, as the chart has it', deployment: operator({ env: [] }), image: 'missing' },
  { name: 'an empty value', deployment: operator({ env: [{ name, value: '' }] }), image: 'missing' },
  { name: 'no value at all', deployment: operator({ env: [{ name }] }), image: 'missing' },
  { name: 'a value, and an empty one after it', deployment: operator({ env: [{ name, value: 'a' }, { name }] }), image: 'missing' },
  { name: 'a value from a ConfigMap', deployment: operator({ env: [{ name, valueFrom: { configMapKeyRef: {} } }] }), image: 'unknown' },
  { name: 'a value with another variable in it', deployment: operator({ env: [{ name, value: '$(REGISTRY)/backup' }] }), image: 'unknown' },
  { name: 'all of a Secret', deployment: operator({ envFrom: [{ secretRef: { name: 'settings' } }] }), image: 'unknown' },
  {
    name: 'a value beside a container of another program',
    deployment: operator({ env: [{ name: 'PORT', value: '1' }] }, { env: [{ name, value: 'a' }] }),
    image: 'set',
  },
  { name: 'no containers', deployment: { ...operator(), spec: {} }, image: 'missing' },
]
for (const { name, deployment, image } of images) {
  test(`with ${name} the operator's image for backups is ${image}`, () => assert.equal(backupImageOf(deployment), image))
}

const backups = { aws: { bucket: 'b', region: 'r', cron: '0 * * * *' } }

/** A CrateDB as the operator leaves it after the creation. @param done the parts that left a result */
function created(fields: object, done: string[], metadata: object = {}): KubernetesObject {
  const cratedb = desiredCrateDB(target, stored({ ...fields }), options)
  const annotations = { ...cratedb.metadata.annotations, 'operator.cloud.crate.io/last': JSON.stringify({ spec: cratedb.spec }) }
  const status = Object.fromEntries(done.map((part) => [`cluster_create/${part}`, { success: true, ref: 'a' }]))
  return { ...cratedb, metadata: { ...cratedb.metadata, annotations, ...metadata }, status }
}
const idle: { name: string; cratedb: KubernetesObject; is: boolean }[] = [
  { name: 'no job was made', cratedb: created({ backups }, ['bootstrap']), is: true },
  { name: 'a job was made', cratedb: created({ backups }, ['bootstrap', 'backup']), is: false },
  { name: 'none is configured', cratedb: created({}, ['bootstrap']), is: false },
  { name: 'it is not created yet', cratedb: created({ backups }, []), is: false },
  {
    name: 'its creation goes on',
    cratedb: created({ backups }, ['bootstrap'], { annotations: { 'operator.cloud.crate.io/cluster_create': '{"started":"2026-01-31"}' } }),
    is: false,
  },
  { name: 'it is being deleted', cratedb: created({ backups }, ['bootstrap'], { deletionTimestamp: '2026-01-31T12:00:00Z' }), is: false },
]
for (const { name, cratedb, is } of idle) {
  test(`the backups of a database are ${is ? '' : 'not '}known to be idle when ${name}`, () => assert.equal(hasIdleBackups(cratedb), is))
}
