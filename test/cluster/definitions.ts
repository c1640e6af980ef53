import { readFileSync } from 'node:fs'

/** What Skerry's own definitions and the Crate Operator's are read from, relative to the root of the checkout. */
export const definitions = {
  skerry: ['deploy/crds/projects.yaml', 'deploy/crds/operations.yaml', 'deploy/crds/sparkplugnodes.yaml'],
  crateDB: ['test/cluster/crds/cratedbs.yaml'],
}

/** Everything that a region defines, as YAML. */
export function regionDefinitions(): string[] {
  return [...definitions.skerry, ...definitions.crateDB].map((file) => readFileSync(file, 'utf8'))
}
