import assert from 'node:assert/strict'
import { test } from 'node:test'
import { advises, changes, destroys, looks, renderCures } from '../../../agent/resources/cure.ts'

const describe = looks('See what it says of <node>', 'kubectl describe node <node>')
const remove = destroys('Only once it is off. This loses the Node', 'kubectl delete node <node>')

test('a cure has its places filled, and says whether it destroys', () => {
  assert.deepEqual(describe({ node: 'quay-1' }), {
    effect: 'See what it says of quay-1',
    command: 'kubectl describe node quay-1',
    destructive: false,
  })
  assert.equal(remove({ node: 'quay-1' }).destructive, true)
  assert.deepEqual(advises('Add nodes.')(), { effect: 'Add nodes.', destructive: false })
})

test('several words stand side by side in a command, and none leave no gap', () => {
  const patch = changes('Patch <names>', 'kubectl <where> patch pod <names> --type json')
  const { effect, command } = patch({ where: ['--namespace', 'quay'], names: ['a', 'b'] })
  assert.deepEqual([effect, command], ['Patch a, b', 'kubectl --namespace quay patch pod a b --type json'])
  assert.equal(patch({ where: [], names: 'a' }).command, 'kubectl patch pod a --type json')
})

test('a word that a shell would take apart is quoted in the command and not in the effect', () => {
  const label = changes('Label it <label>', 'kubectl label node quay-1 <label>')
  const { effect, command } = label({ label: "zone=it's; rm -rf /" })
  assert.equal(effect, "Label it zone=it's; rm -rf /")
  assert.equal(command, `kubectl label node quay-1 'zone=it'\\''s; rm -rf /'`)
})

test('the text for people has a line for each cure, with the command at its end', () => {
  const cures = [advises('Add nodes.')(), describe({ node: 'quay-1' }), remove({ node: 'quay-1' })]
  assert.equal(
    renderCures(cures),
    'Add nodes.\nSee what it says of quay-1: kubectl describe node quay-1\nOnly once it is off. This loses the Node: kubectl delete node quay-1',
  )
})
