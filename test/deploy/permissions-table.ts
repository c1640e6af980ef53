import { readFile } from 'node:fs/promises'
import { parseAllDocuments } from 'yaml'

const page = 'docs/security.md'
const [begin, end] = ['<!-- npm run render: deploy/rbac/agent.yaml -->', '<!-- end -->']

export type Rule = { apiGroups: string[]; resources: string[]; resourceNames?: string[]; verbs: string[] }

/** The page on security, with the agent's current permissions. @throws Error when the page has no place for them */
export async function securityPage(): Promise<{ path: string; text: string }> {
  const text = await readFile(page, 'utf8')
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from === -1 || to < from) throw new Error(`${page} has no ${begin} … ${end}`)
  return { path: page, text: `${text.slice(0, from)}${begin}\n\n${permissionsTable(await agentRoles())}\n${text.slice(to)}` }
}

/** The agent's roles, in the order of the manifest: everywhere, in the namespaces of projects, in its own, and in that of the nodes' Leases. */
export async function agentRoles(): Promise<Rule[][]> {
  const manifest = parseAllDocuments(await readFile('deploy/rbac/agent.yaml', 'utf8')).map((each) => each.toJS())
  return manifest.filter(({ kind }) => ['ClusterRole', 'Role'].includes(kind)).map(({ rules }) => rules)
}

/** One line for each resource, with what may be done to it in each place. */
export function permissionsTable(roles: Rule[][]): string {
  const rows = new Map<string, string[]>()
  for (const [place, rules] of roles.entries())
    for (const { apiGroups, resources, resourceNames, verbs } of rules)
      for (const resource of resources.map((each) => (apiGroups[0] === '' ? each : `${each}.${apiGroups[0]}`))) {
        const row = rows.get(resource) ?? roles.map(() => '')
        const of = resourceNames === undefined ? '' : ` of ${resourceNames.map((name) => `\`${name}\``).join(', ')}`
        const said = `${verbs.map((verb) => `\`${verb}\``).join(', ')}${of}`
        row[place] = [row[place], said].filter((each) => each !== '').join('; ')
        rows.set(resource, row)
      }
  const head = ['resource', 'everywhere', 'in the namespaces of projects', "in the agent's own namespace", 'in `kube-node-lease`']
  const lines = [...rows].map(([resource, cells]) => [resource, ...cells])
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}
