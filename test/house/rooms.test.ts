import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { filesOf, importsOf, textOf } from './files.ts'

const sources = filesOf().filter((file) => file.endsWith('.ts'))

test("a folder's face is its index.ts: no file bears the name of a folder beside it, or of the folder that it is in", () => {
  const folders = new Set(sources.map((file) => path.posix.dirname(file)))
  const others = sources.filter((file) => {
    const name = file.slice(0, -'.ts'.length)
    return folders.has(name) || path.posix.basename(name) === path.posix.basename(path.posix.dirname(name))
  })
  assert.deepEqual(others, [])
})

/** Who must not import whom: the imports of the house run one way. */
const walls: [string, string][] = [
  ['agent/', 'monitor/'],
  ['monitor/', 'agent/'],
  ['shared/', 'agent/'],
  ['shared/', 'monitor/'],
  ['agent/resources/', 'agent/api/'],
  ['agent/resources/', 'agent/operations/'],
  ['agent/resources/', 'agent/controllers/'],
  ['agent/resources/', 'agent/region/'],
  ['agent/region/', 'agent/api/'],
  ['agent/region-file/', 'agent/export/'],
  ['agent/region-file/', 'agent/operations/'],
  ['agent/operations/', 'agent/export/'],
  ['agent/operations/', 'agent/api/'],
  ['agent/operations/', 'agent/controllers/'],
  ['agent/controllers/', 'agent/api/'],
  ['agent/', 'test/'],
  ['monitor/', 'test/'],
  ['shared/', 'test/'],
  ['monitor/wire/', 'monitor/checks/'],
  ['monitor/checks/', 'monitor/prober/'],
  ['monitor/prober/', 'monitor/metrics/'],
  ['monitor/prober/', 'monitor/probe/'],
  ['monitor/checks/', 'monitor/probe/'],
  ['monitor/wire/', 'monitor/probe/'],
  ['monitor/probe/', 'monitor/metrics/'],
  ['monitor/probe/', 'monitor/prober/'],
  ['monitor/probe/', 'monitor/checks/'],
  ['monitor/probe/', 'monitor/page/'],
  ['monitor/prober/', 'monitor/page/'],
  ['monitor/page/', 'monitor/metrics/'],
  ['monitor/heartbeats/', 'monitor/checks/'],
  ['monitor/heartbeats/', 'monitor/prober/'],
  ['monitor/convert/', 'monitor/checks/'],
  ['monitor/convert/', 'monitor/prober/'],
]

/** What the room of the link to the cloud is built on. */
const belowCloud = ['agent/cloud/', 'agent/region/', 'agent/resources/', 'agent/operations/queue.ts', 'shared/']

test('agent/cloud/ imports the region, the queue of the leader and what is shared, and nothing else', () => {
  const inside = sources.filter((file) => file.startsWith('agent/cloud/'))
  const others = inside.flatMap((file) =>
    importsOf(file).flatMap((target) => (belowCloud.some((room) => target.startsWith(room)) ? [] : [`${file} → ${target}`])),
  )
  assert.ok(inside.length > 0, 'there is such a room')
  assert.deepEqual(others, [])
})

/** Who builds the link, who configures it, and who shows its state. */
const aboveCloud = ['agent/serve.ts', 'agent/config.ts', 'agent/admin/', 'agent/api/', 'agent/cli/']

test('of the programs nobody imports agent/cloud/ but who builds the link, configures it, or shows its state', () => {
  const outside = sources.filter((file) => /^(agent|monitor|shared)\//.test(file) && !file.startsWith('agent/cloud/'))
  const others = outside
    .filter((file) => !aboveCloud.some((place) => file.startsWith(place)))
    .flatMap((file) => importsOf(file).flatMap((target) => (target.startsWith('agent/cloud/') ? [`${file} → ${target}`] : [])))
  assert.deepEqual(others, [])
})

test('agent/bucket/ imports what is shared and the resources, and nothing else', () => {
  const inside = sources.filter((file) => file.startsWith('agent/bucket/'))
  const below = ['agent/bucket/', 'agent/resources/', 'shared/']
  const others = inside.flatMap((file) =>
    importsOf(file).flatMap((target) => (below.some((room) => target.startsWith(room)) ? [] : [`${file} → ${target}`])),
  )
  assert.ok(inside.length > 0, 'there is such a room')
  assert.deepEqual(others, [])
})

/** What a file imports as soon as it is loaded, types and what is loaded on demand left out. */
function loadedBy(file: string): string[] {
  return [...textOf(file).matchAll(/^(?:import|export) (?!type )(?:[^'=]* from )?'([^']+)'/gm)].map(([, specifier = '']) =>
    specifier.startsWith('.') ? path.posix.join(path.posix.dirname(file), specifier) : specifier,
  )
}

/** Everything that is loaded with a file: files and packages. */
function loadedWith(file: string, seen = new Set<string>()): Set<string> {
  for (const each of loadedBy(file)) {
    if (seen.has(each)) continue
    seen.add(each)
    if (sources.includes(each)) loadedWith(each, seen)
  }
  return seen
}

test('undici is imported by the transport of the link alone', () => {
  const importing = sources.filter((file) => /^(agent|monitor|shared)\//.test(file) && /'undici'/.test(textOf(file)))
  assert.deepEqual(importing, ['agent/cloud/undici-transport.ts'])
})

test('an agent without a cloud and without JSON Web Tokens loads neither undici nor jose', () => {
  const always = loadedWith('agent/serve.ts')
  const onDemand = ['undici', 'jose', 'agent/cloud/index.ts']
  assert.ok(always.has('hono') && always.size > 100, `${always.size} files and packages`)
  assert.deepEqual(
    onDemand.filter((each) => always.has(each)),
    [],
  )
  const withLink = loadedWith('agent/cloud/index.ts')
  assert.ok(withLink.has('shared/signing/jws.ts') && !withLink.has('jose'), 'proofs need no library')
  assert.ok(!withLink.has('undici'), 'the client comes last, with a configuration that was read')
})

for (const [room, other] of walls) {
  test(`${room} imports nothing from ${other}`, () => {
    const inside = sources.filter((file) => file.startsWith(room))
    const crossing = inside.flatMap((file) =>
      importsOf(file).flatMap((target) => (target.startsWith(other) ? [`${file} → ${target}`] : [])),
    )
    assert.ok(inside.length > 0, 'there is such a room')
    assert.deepEqual(crossing, [])
  })
}

test('what a test replaces lasts as long as the test: the files of a folder share a process', () => {
  const others = sources.filter((file) => /import \{[^}]*\bmock\b[^}]*\} from 'node:test'/.test(textOf(file)))
  assert.deepEqual(others, [])
})
