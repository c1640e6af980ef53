import { readFileSync } from 'node:fs'

/** The files of Skerry's own CRDs and of the Crate Operator's, relative to the root of the checkout. */
export const definitions = {
  skerry: ['deploy/crds/projects.yaml', 'deploy/crds/operations.yaml', 'deploy/crds/sparkplugnodes.yaml'],
  crateDB: ['test/cluster/crds/cratedbs.yaml'],
}

/** The CRDs of a region, as YAML. */
export function regionDefinitions(): string[] {
  return [...definitions.skerry, ...definitions.crateDB].map((file) => readFileSync(file, 'utf8'))
}
