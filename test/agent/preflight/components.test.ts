import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { componentsToCome, ownComponents, parseComponents } from '../../../agent/preflight/components.ts'
import { componentsFile } from '../../deploy/rendered.ts'

test("the agent's list of components is made of the installer's", () => {
  assert.equal(readFileSync(componentsFile.path, 'utf8'), componentsFile.text(), 'rewrite it with: npm run render')
  assert.deepEqual(parseComponents(readFileSync('deploy/bootstrap/components', 'utf8')).faults, [])
})

test('a component has what stands below it, and what it does not say is as usual', () => {
  const text = `# a list
tide   # a name and a remark are two
ebb
  role     needed
  why      it goes out, and comes back
  # a remark
  chart    ebb
  version  1.2.3
  namespace sea
  present  deployments:app=ebb,tier=low
  present  deployments:name=ebb
  wait     deployment/ebb   crd/ebbs.example.org
`
  const { components, faults } = parseComponents(text)
  assert.deepEqual(faults, [
    'line 2: a name has a line of its own; its keys follow, indented',
    'line 2: tide has no chart',
    'line 2: tide has no version',
    'line 2: tide has no namespace',
  ])
  assert.deepEqual(components[1], {
    ...{ name: 'ebb', role: 'needed', why: 'it goes out, and comes back', chart: 'ebb', version: '1.2.3', namespace: 'sea' },
    ...{ kubernetes: '1.20', present: ['deployments:app=ebb,tier=low', 'deployments:name=ebb'], remade: [], image: [] },
    wait: ['deployment/ebb', 'crd/ebbs.example.org'],
  })
})

test('what is retired is not brought, and only what is brought can be asked for', () => {
  const names = (wanted?: string[]) => componentsToCome(ownComponents, wanted).map(({ name }) => name)
  assert.ok(ownComponents.some(({ name }) => name === 'ingress-nginx'))
  assert.ok(!names().includes('ingress-nginx'))
  assert.deepEqual(names(['skerry', 'cert-manager']), ['cert-manager', 'skerry'])
  assert.throws(() => names(['ingress-nginx']), /unknown component ingress-nginx; there are cert-manager, /)
})
