import { type CrateDbField, crateDbFields } from '../../../agent/resources/cratedb-fields.ts'

/** The page that maps the fields of a CrateDB to those of the API, as its file has it. */
export const fieldsPage = { path: 'docs/cratedb-fields.md', text }

const parts = [
  { title: 'The cluster', under: 'spec.cluster.' },
  { title: 'Nodes that hold data', under: 'spec.nodes.data[].' },
  { title: 'Dedicated master nodes', under: 'spec.nodes.master.' },
  { title: 'Users', under: 'spec.users[].' },
  { title: 'Backups', under: 'spec.backups.' },
  { title: 'Ports and Grand Central', under: 'spec.' },
]

const intro = `# The fields of a CrateDB

The agent makes a \`CrateDB\` of the Crate Operator from each database of the [API](api.md). This page says where each field of a CrateDB
goes. A manifest in the body of a request is refused with the part of this table that it needs. A reference to a Secret (\`secretKeyRef\`)
is one row. The table is that of the CRD of Crate Operator 2.64.0.

A CrateDB that kubectl or another tool makes in the namespace of a project is a database of the API too. \`status.unsupported\` of a read lists
the parts of it that the API cannot show or change. They stay as they are.

- Each action is carried out as a whole, or refused with the part that prevents it.
- A request may leave out what it cannot express: in a patch, and also in a put. A put without \`backups\` keeps backups of another tool.
- **Several data groups.** \`nodes\` is the first group. \`otherGroups\` shows the others: they are suspended, resumed, restarted and deleted with
  the first one, and the API changes nothing else of them.
- **Requests below the limits.** A change of \`cpu\` or \`memory\` raises the requests to the limits. The plan says so.
- **A database that another tool suspended** has no record of how many nodes it had: \`actions/resume\` is refused. Patch \`suspended: false\`
  together with \`nodes.count\`. If it has several data groups, that is refused too: set their replicas with kubectl.
- **Passwords** can be rotated if the user's Secret is named \`user-password-<database>-<number>\`, and if each CrateDB in the namespace has
  \`spec.users\`, which may be an empty list. Otherwise the operator does not set the password.
- **Secrets of another tool** are not overwritten: new credentials of backups, and a new keystore, are refused.
`

function text(): string {
  const left = new Map(rows())
  const tables = parts.map(({ title, under }) => {
    const own = [...left].filter(([leaf]) => leaf.startsWith(under))
    for (const [leaf] of own) left.delete(leaf)
    return `\n## ${title}\n\n| field of a CrateDB | field of the API | remarks |\n|---|---|---|\n${own.map(([leaf, field]) => row(leaf, field)).join('\n')}\n`
  })
  return `${intro}${tables.join('')}`
}

/** Without the status; a reference is one row. */
function rows(): [string, CrateDbField][] {
  return Object.entries(crateDbFields)
    .filter(([leaf]) => leaf !== 'status' && !leaf.endsWith('.secretKeyRef.key'))
    .map(([leaf, field]) => [leaf.replace(/\.secretKeyRef\.name$/, ''), field])
}

function row(leaf: string, { ours, note }: CrateDbField): string {
  const [, field, action] = /^(\S+)( of actions\/\S+)?$/.exec(ours ?? '') ?? []
  return `| \`${leaf}\` | ${ours === undefined ? 'none' : `\`${field}\`${action ?? ''}`} | ${note ?? ''} |`
}
