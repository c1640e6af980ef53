import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { parseAllDocuments } from 'yaml'
import { actionNames } from '../../agent/operations/actions/action.ts'
import { actions } from '../../agent/operations/actions/index.ts'
import { parseComponents } from '../../agent/preflight/components.ts'
import { targetKinds } from '../../agent/resources/kind.ts'
import { baseKubeVersion, baseValues, besideTheBase, fileBeside, kustomizeBase, policyKubeVersion } from '../../deploy/render/kustomize.ts'
import { valuesSchema } from '../../deploy/render/values.ts'
import { cloudApiFile, yourCloudPage } from '../agent/cloud/cloud-api.ts'
import { fieldsPage } from '../agent/resources/fields-page.ts'
import { checksPage } from '../monitor/checks/page.ts'
import { installingPage } from './components-table.ts'
import { template } from './helm.ts'
import { securityPage } from './permissions-table.ts'

/** The schema of the chart's values, as its file has it. */
export const schemaFile = { path: 'deploy/chart/values.schema.json', text: () => `${JSON.stringify(valuesSchema(), null, 1)}\n` }

/** The definition of operations: the agent's tables say what its enums hold. */
export const operationsFile = {
  path: 'deploy/crds/operations.yaml',
  text: () =>
    readFileSync('deploy/crds/operations.yaml', 'utf8')
      .replace(/(^ +action: \{ type: string, enum: )\[.*\]/m, `$1[${actionNames(actions).join(', ')}]`)
      .replace(/(^ +kind: \{ type: string, enum: )\[.*\]/m, `$1[${Object.keys(targetKinds).join(', ')}]`),
}

/** The list of components, as the agent's bundle carries it for its preflight. */
export const componentsFile = {
  path: 'agent/preflight/components.json',
  text: () => `${JSON.stringify(parseComponents(readFileSync('deploy/bootstrap/components', 'utf8')).components, null, 1)}\n`,
}

/** The rules of the agent's manifest whose names do not depend on the configuration, as the agent's bundle carries them for its preflight. */
export const agentRightsFile = {
  path: 'agent/preflight/agent-rights.json',
  text: () =>
    `[\n${agentRights()
      .map((rule) => ` ${JSON.stringify(rule)}`)
      .join(',\n')}\n]\n`,
}

function agentRights() {
  return parseAllDocuments(readFileSync('deploy/rbac/agent.yaml', 'utf8')).flatMap((document) => {
    const { kind, metadata, rules = [] } = document.toJS()
    const home = metadata?.namespace === 'skerry' ? 'home' : metadata?.namespace
    const where = kind === 'Role' ? home : metadata?.name === 'skerry-agent-project' ? 'project' : 'cluster'
    return rules.flatMap(({ apiGroups, resources, verbs, resourceNames }: Record<string, string[]>) =>
      resourceNames === undefined || (where !== 'home' && !resourceNames.includes('crate-operator'))
        ? (apiGroups ?? []).flatMap((group) =>
            (resources ?? []).flatMap((resource) =>
              (resourceNames ?? [undefined]).map((name) => ({ group, resource, name, verbs, where })),
            ),
          )
        : [],
    )
  })
}

/** The files of the kustomize base, by their paths. */
export async function kustomizeFiles(): Promise<Record<string, string>> {
  const files = kustomizeBase(await template(baseValues, baseKubeVersion))
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [`deploy/kustomize/base/${name}`, text]))
}

/** The files that are applied beside the base, by their paths. */
export async function kustomizeFilesBeside(): Promise<Record<string, string>> {
  const objects = await template(baseValues, policyKubeVersion)
  return Object.fromEntries(
    Object.entries(besideTheBase).map(([name, belongs]) => [`deploy/kustomize/${name}`, fileBeside(objects, name, belongs)]),
  )
}

if (import.meta.main) {
  const files = [schemaFile, componentsFile, agentRightsFile, operationsFile, checksPage, fieldsPage, cloudApiFile]
  for (const { path, text } of files) await writeFile(path, text())
  for (const [path, text] of Object.entries({ ...(await kustomizeFiles()), ...(await kustomizeFilesBeside()) })) await writeFile(path, text)
  for (const { path, text } of [await installingPage(), await securityPage(), await yourCloudPage()]) await writeFile(path, text)
}
