import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { findCommands, sources } from './commands.ts'
import { commandsInMarkdown } from './markdown.ts'
import { commandsInProse } from './prose.ts'
import { cannotRun, type Effect, register } from './register.ts'
import { commandsInShell, commandsInTypeScript } from './strings.ts'

const found = findCommands()
const effectOf = (text: string): Effect | undefined => register.get(text)?.effect ?? cannotRun.get(text)?.effect

test('every command that a text tells somebody to run is run, or says why it cannot be', (t) => {
  const missing = found.filter(({ text }) => effectOf(text) === undefined)
  assert.deepEqual(
    missing.map(({ source, line, text }) => `${source}:${line}: ${text}`),
    [],
    'each belongs into test/words/register.yaml, and is run by the story that is named there',
  )
  const counts = (all: typeof found) =>
    (['looks', 'changes', 'destroys'] as const)
      .map((effect) => `${all.filter(({ text }) => effectOf(text) === effect).length} ${effect}`)
      .join(', ')
  for (const source of Object.keys(sources)) {
    const here = found.filter((each) => each.source === source)
    if (here.length > 0) t.diagnostic(`${source}: ${here.length} (${counts(here)})`)
  }
  const texts = new Set(found.map(({ text }) => text))
  t.diagnostic(
    `in all ${found.length} in ${Object.keys(sources).length} texts (${counts(found)}), ${texts.size} different ones, of which ${register.size} are run`,
  )
  for (const [text, { reason }] of cannotRun) t.diagnostic(`not run: ${text}: ${reason}`)
})

test('what the register has is in a text, and its story is there', () => {
  const texts = found.map(({ text }) => text)
  assert.deepEqual(
    [...register.keys(), ...cannotRun.keys()].filter((text) => !texts.includes(text)),
    [],
  )
  for (const { story } of register.values()) assert.ok(existsSync(`test/words/${story}.real.test.ts`), story)
  assert.deepEqual(
    [...cannotRun.keys()].filter((text) => register.has(text)),
    [],
  )
})

test('what destroys says so, and is never the first thing that is proposed', () => {
  const destroying = found.filter(({ text }) => effectOf(text) === 'destroys')
  assert.ok(destroying.length > 0)
  for (const { source, line, text, context } of destroying) {
    assert.match(context, /\bloses\b/, `${source}:${line}: ${text}`)
    assert.doesNotMatch(context.slice(0, context.indexOf(text)), /^\W*$/, `${source}:${line} begins with it: ${text}`)
  }
})

/** Commands that take data or what stands for it away, whoever proposes them. */
const dangerous = [
  /\bdelete (?:namespaces?|nodes?|persistentvolumes?|pv|pvc|persistentvolumeclaims?|crds?|customresourcedefinitions?|cratedbs?|projects?)\b/,
  /finalizers/,
  /--force(?!-conflicts)/,
  /--delete-volumes/,
  /--delete-definitions/,
  /--release-finalizers/,
  /(?:^|\s)rm -/,
]
/** Those that lose nothing where they are proposed, which the stories show. */
const harmless = [`kubectl patch project harbour --type merge --patch '{"metadata":{"finalizers":null}}'`]
test('nothing that takes data away passes for something else', () => {
  for (const { source, line, text } of found)
    if (dangerous.some((pattern) => pattern.test(text)) && !harmless.includes(text))
      assert.equal(effectOf(text), 'destroys', `${source}:${line}: ${text}`)
})

/** What takes data away, said in words. */
const inWords = /finalizers? (?:off|by hand)|delete the Node\b|--release-finalizers|--delete-volumes/
test('what pages say in words of taking things away says what it loses', () => {
  for (const source of Object.keys(sources).filter((each) => each.endsWith('.md')))
    for (const paragraph of readFileSync(source, 'utf8').split(/\n(?=\||\n|- )/))
      if (inWords.test(paragraph)) assert.match(paragraph, /\b(?:loses?|lost)\b|\*\*goes\*\*|stay\s+as they are/, `${source}: ${paragraph}`)
})

const prose: [sentence: string, commands: string[]][] = [
  ['See why: kubectl describe node a. If it stays: kubectl delete node a', ['kubectl describe node a', 'kubectl delete node a']],
  [
    'Make it: node agent.mjs preflight --x | kubectl apply -f -   (or ./install.sh --y z)',
    ['node agent.mjs preflight --x | kubectl apply -f -', './install.sh --y z'],
  ],
  ['See it: kubectl -n a describe pods; images are the usual reason', ['kubectl -n a describe pods']],
  ['The clock is wrong: date', ['date']],
  ['helm did not install it. Run install.sh again', []],
  ['Use kubectl, or the date of the node.', []],
]
for (const [sentence, commands] of prose)
  test(`a sentence has these commands: ${sentence}`, () => assert.deepEqual(commandsInProse(sentence), commands))

test('pages, scripts and programs have theirs, with the line', () => {
  const page = [
    '`kubectl` and `kubectl get a \\| wc`',
    '```sh',
    '# not this',
    'helm install a \\',
    '  b   # that',
    '```',
    '```yaml',
    'kubectl: get',
    '```',
  ]
  assert.deepEqual(
    commandsInMarkdown(page.join('\n')).map(({ line, text }) => `${line} ${text}`),
    ['1 kubectl get a | wc', '4 helm install a \\\n  b'],
  )
  const script = `x=1\nstep_help="see: kubectl get \\"a\\""\nkube get pods -o 'kubectl get b'`
  assert.deepEqual(
    commandsInShell(script).map(({ line, text }) => `${line} ${text}`),
    ['2 kubectl get "a"'],
  )
  const program = "const a = 'See: kubectl get a'\nconst b = `See: kubectl get $" + '{c}.`'
  assert.deepEqual(
    commandsInTypeScript(program).map(({ line, text }) => `${line} ${text}`),
    ['1 kubectl get a', `2 kubectl get $${'{c}'}`],
  )
})
