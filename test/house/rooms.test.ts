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

test('undici is imported by the transport alone, and that is loaded only where there is a cloud', () => {
  const programs = sources.filter((file) => /^(agent|monitor|shared)\//.test(file))
  assert.deepEqual(
    programs.filter((file) => /(?:from|import)\s*\(?\s*'undici'/.test(textOf(file))),
    ['agent/cloud/undici-transport.ts'],
  )
  const statically = (name: string) =>
    programs.filter((file) => new RegExp(`^import (?!type )[^']*from '[^']*${name}'`, 'm').test(textOf(file)))
  assert.deepEqual(statically('/undici-transport\\.ts'), [])
  assert.deepEqual(statically('cloud/index\\.ts'), [])
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
