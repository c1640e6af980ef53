import { readFileSync } from 'node:fs'

/** The CRD of the Crate Operator 2.63.0, as YAML: `cratedbs.cloud.crate.io`. */
export const crateDbDefinition = readFileSync(new URL('./cratedbs.yaml', import.meta.url), 'utf8')
