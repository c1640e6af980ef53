import { readFileSync } from 'node:fs'

/** The CRD of the Crate Operator 2.63.0, as YAML: `cratedbs.cloud.crate.io`. */
export const crateDbDefinition = readFileSync(new URL('./cratedbs.yaml', import.meta.url), 'utf8')

/** The CRD of 2.64.0: a restore may name the address of its store (crate/crate-operator#889). */
export const crateDbDefinition264 = crateDbDefinition.replace(
  /^( +)(basePath: \*secret)\n(?=.*backupProvider)/m,
  (_, indent, basePath) => `${indent}${basePath}\n${indent}endpointUrl: *secret\n`,
)

/** The CRDs of volume snapshots, and of groups of them, as YAML: kubernetes-csi/external-snapshotter 8.6. */
export const snapshotDefinitions = readFileSync(new URL('./snapshots.yaml', import.meta.url), 'utf8')
