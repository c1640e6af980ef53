import { age, nameColumn } from './columns.ts'
import type { Core } from './core.ts'
import { compileJsonPath } from './json-path.ts'
import { clone, isMap, type Json, type KubeObject, timestamp } from './object.ts'
import { allVerbs, type Column, type KindRules, type ResourceType } from './resources.ts'
import { applyDefaults, fieldTypeOf, prune, type Schema } from './schema.ts'
import { type Cause, cause } from './status.ts'

export const crdBucket = 'apiextensions.k8s.io/customresourcedefinitions'

/** Holds a definition until the objects it defines are gone. */
export const crdFinalizer = 'customresourcecleanup.apiextensions.k8s.io'

const label = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/

/** Sets the defaults that the real server sets, and refuses a definition that is not structural. */
export const crdRules: KindRules = {
  prepare(object, old) {
    const { names } = object.spec ?? {}
    if (isMap(names)) {
      names.singular ??= String(names.kind ?? '').toLowerCase()
      names.listKind ??= `${names.kind}List`
    }
    if (isMap(object.spec)) object.spec.conversion ??= { strategy: 'None' }
    if (old) return
    object.metadata.finalizers = [...new Set([...(object.metadata.finalizers ?? []), crdFinalizer])]
    object.status = { conditions: [], acceptedNames: { plural: '', kind: '' }, storedVersions: storageVersions(object) }
  },
  check(object, old) {
    const { group, names, scope, versions } = object.spec ?? {}
    const faults: Cause[] = []
    if (!group) faults.push(cause.required('spec.group'))
    if (!['Namespaced', 'Cluster'].includes(scope)) faults.push(cause.notSupported('spec.scope', scope ?? '', ['Cluster', 'Namespaced']))
    if (!names?.kind) faults.push(cause.required('spec.names.kind'))
    if (!label.test(names?.plural ?? ''))
      faults.push(cause.invalid('spec.names.plural', names?.plural ?? '', 'a DNS-1035 label is required'))
    if (object.metadata.name !== `${names?.plural}.${group}`) {
      faults.push(cause.invalid('metadata.name', object.metadata.name, 'must be spec.names.plural+"."+spec.group'))
    }
    if (!Array.isArray(versions) || versions.length === 0)
      return [...faults, cause.required('spec.versions', 'must have at least one version')]
    if (versions.filter((version) => version.storage).length !== 1) {
      faults.push(
        cause.invalid(
          'spec.versions',
          versions.map(({ name }) => name),
          'must have exactly one version marked as storage version',
        ),
      )
    }
    for (const [index, version] of versions.entries()) faults.push(...checkVersion(version, `spec.versions[${index}]`))
    if (old && old.spec.scope !== scope) faults.push(cause.invalid('spec.scope', scope, 'field is immutable'))
    if (old && old.spec.group !== group) faults.push(cause.invalid('spec.group', group, 'field is immutable'))
    return faults
  },
}

function checkVersion(version: Json, path: string): Cause[] {
  const schema = version.schema?.openAPIV3Schema
  const at = `${path}.schema.openAPIV3Schema`
  if (!isMap(schema)) return [cause.required(at, 'schemas are required')]
  const faults = checkStructural(schema, at)
  if (schema.type !== 'object') faults.push(cause.invalid(`${at}.type`, schema.type ?? '', 'must be object at the root'))
  for (const [index, column] of (version.additionalPrinterColumns ?? []).entries()) {
    const field = `${path}.additionalPrinterColumns[${index}]`
    if (!column.name) faults.push(cause.required(`${field}.name`))
    if (!compileJsonPath(column.jsonPath ?? '')) faults.push(cause.invalid(`${field}.jsonPath`, column.jsonPath ?? '', 'is not a JSONPath'))
  }
  return faults
}

/** Every node of a structural schema has a type, and at most one of properties and additionalProperties. */
function checkStructural(schema: Schema, path: string): Cause[] {
  const faults: Cause[] = []
  const untyped = schema['x-kubernetes-int-or-string'] || schema['x-kubernetes-preserve-unknown-fields']
  if (!schema.type && !untyped) faults.push(cause.required(`${path}.type`, 'must not be empty for specified object fields'))
  if (schema.pattern !== undefined && !isPattern(schema.pattern)) {
    faults.push(cause.invalid(`${path}.pattern`, schema.pattern, 'must be a valid regular expression'))
  }
  if (schema.uniqueItems)
    faults.push(cause.forbidden(`${path}.uniqueItems`, 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic'))
  if (schema.type === 'array' && !schema.items) faults.push(cause.required(`${path}.items`, 'must be specified'))
  if (schema['x-kubernetes-list-type'] === 'map' && !schema['x-kubernetes-list-map-keys']?.length) {
    faults.push(cause.required(`${path}.x-kubernetes-list-map-keys`, 'must not be empty if x-kubernetes-list-type is map'))
  }
  if (schema.properties && isMap(schema.additionalProperties)) {
    faults.push(cause.forbidden(`${path}.additionalProperties`, 'additionalProperties and properties are mutual exclusive'))
  }
  for (const [name, below] of Object.entries(schema.properties ?? {})) {
    if (name === 'metadata' && path.endsWith('openAPIV3Schema')) continue
    faults.push(...checkStructural(below, `${path}.properties[${name}]`))
  }
  if (isMap(schema.additionalProperties)) faults.push(...checkStructural(schema.additionalProperties, `${path}.additionalProperties`))
  if (schema.items) faults.push(...checkStructural(schema.items, `${path}.items`))
  return faults
}

function isPattern(text: string): boolean {
  try {
    new RegExp(text)
    return true
  } catch {
    return false
  }
}

const storageVersions = (crd: KubeObject): string[] =>
  (Array.isArray(crd.spec?.versions) ? crd.spec.versions : []).flatMap((version: Json) => (version.storage ? [version.name] : []))

/** The resources of a definition, one per served version. */
function typesOf(crd: KubeObject): ResourceType[] {
  const { group, names, scope, versions } = crd.spec
  const [storage] = storageVersions(crd)
  return versions
    .filter((version: Json) => version.served)
    .map((version: Json): ResourceType => {
      const schema: Schema = version.schema.openAPIV3Schema
      return {
        group,
        version: version.name,
        kind: names.kind,
        listKind: names.listKind,
        plural: names.plural,
        singular: names.singular,
        shortNames: names.shortNames ?? [],
        categories: names.categories ?? [],
        namespaced: scope === 'Namespaced',
        verbs: allVerbs,
        subresources: version.subresources?.status ? ['status'] : [],
        bucket: `${group}/${names.plural}`,
        storageApiVersion: `${group}/${storage}`,
        generation: true,
        fields: fieldTypeOf(schema, true),
        columns: [nameColumn, ...printerColumns(version.additionalPrinterColumns)],
        fieldSelectors: [],
        rules: {},
        custom: { schema },
      }
    })
}

function printerColumns(given: Json[] | undefined): Column[] {
  const columns = given ?? [{ name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }]
  return columns.map(({ name, type, format, description, priority = 0, jsonPath }) => {
    const read = compileJsonPath(jsonPath) ?? (() => [])
    const value = (object: KubeObject): unknown => {
      const values = read(object)
      if (values.length === 0) return null
      if (type === 'date') return age(values[0])
      return type === 'string' ? values.map((each) => (typeof each === 'string' ? each : JSON.stringify(each))).join(' ') : values[0]
    }
    return { name, type, ...(format ? { format } : {}), ...(description ? { description } : {}), priority, value }
  })
}

/**
 * Serves the kinds of definitions as soon as these are stored: a stand-in for the controllers of apiextensions.
 * A separate write accepts the names and establishes the definition, as on the real server.
 */
export function establishDefinitions(core: Core, unserved: (bucket: string) => void): void {
  const { store, registry } = core
  store.listeners.push(({ bucket, type, entry, previous }) => {
    if (bucket.resource !== crdBucket) return
    const crd = entry.object
    const served = `${crd.spec.group}/${crd.spec.names.plural}`
    if (type === 'DELETED') {
      registry.removeBucket(served)
      unserved(served)
      return
    }
    if (previous && previous.object.metadata.generation === crd.metadata.generation) return
    if (crd.metadata.deletionTimestamp) return
    registry.removeBucket(served)
    registry.add(typesOf(crd))
    const schema = registry.stored(served)?.custom?.schema
    if (previous && schema) store.bucket(served).rewrite((object) => decoded(object, schema))
  })
}

/** An object as the real server reads it if its schema has changed since it was written: pruned, with defaults. */
function decoded(object: KubeObject, schema: Schema): KubeObject {
  const copy = clone(object)
  prune(copy, schema, true)
  applyDefaults(copy, schema, true)
  return copy
}

/** The status of an established definition. */
export function establishedStatus(crd: KubeObject): Json {
  const at = timestamp()
  const condition = (type: string, reason: string, message: string): Json => ({
    type,
    status: 'True',
    lastTransitionTime: at,
    reason,
    message,
  })
  const { names } = crd.spec
  return {
    conditions: [
      condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
      condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
    ],
    acceptedNames: names,
    storedVersions: [...new Set([...(crd.status?.storedVersions ?? []), ...storageVersions(crd)])],
  }
}
