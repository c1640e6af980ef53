import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { filesOf, importsOf } from './files.ts'

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
