import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { agentRoles, permissionsTable, securityPage } from './permissions-table.ts'

test('the page on security has the permissions of the agent as they are granted', async () => {
  const { path, text } = await securityPage()
  assert.equal(await readFile(path, 'utf8'), text, 'rewrite it with: npm run render')
})

test('the table has every permission of every role', async () => {
  const roles = await agentRoles()
  assert.equal(roles.length, 4)
  const lines = permissionsTable(roles).trimEnd().split('\n')
  for (const [place, rules] of roles.entries())
    for (const { apiGroups, resources, resourceNames = [], verbs } of rules)
      for (const resource of resources) {
        const line = lines.find((each) => each.startsWith(`| ${resource}${apiGroups[0] === '' ? '' : `.${apiGroups[0]}`} |`))
        const cell = line?.split(' | ')[place + 1] ?? ''
        for (const word of [...verbs, ...resourceNames]) assert.ok(cell.includes(`\`${word}\``), `${word} ${resource}`)
      }
})
