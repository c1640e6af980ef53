import { readFileSync } from 'node:fs'

/** The files of Skerry's own CRDs and of the Crate Operator's, relative to the root of the checkout. */
export const definitions = {
  skerry: ['projects', 'operations', 'retaineddatabases', 'sparkplugnodes', 'registrations'].map((name) => `deploy/crds/${name}.yaml`),
  crateDB: ['test/cluster/crds/cratedbs.yaml'],
}

type Policy = { spec: { variables: { name: string; expression: string }[] } }

/** The policy that confines the agent, for a site that allows these labels in requests: as the chart renders it. */
export function allowingLabels<T extends Policy>(policy: T, labels: readonly string[]): T {
  const expression = `[${labels.map((each) => `'${each}'`).join(', ')}]`
  const variables = policy.spec.variables.map((each) => (each.name === 'allowedLabels' ? { ...each, expression } : each))
  return { ...policy, spec: { ...policy.spec, variables } }
}

/** The CRDs of a region, as YAML. @param crateDb that of CrateDB, if it is not the usual one */
export function regionDefinitions(crateDb?: string): string[] {
  const read = (file: string) => readFileSync(file, 'utf8')
  return [...definitions.skerry.map(read), ...(crateDb === undefined ? definitions.crateDB.map(read) : [crateDb])]
}
