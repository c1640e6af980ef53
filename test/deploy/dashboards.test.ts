import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dashboards, type Panel } from './observability.ts'

test('there is a dashboard for the region, its databases, checks, Sparkplug and operations, each with an address of its own', () => {
  assert.deepEqual(
    dashboards.map(({ uid }) => uid),
    ['skerry-checks', 'skerry-databases', 'skerry-operations', 'skerry-region', 'skerry-sparkplug'],
  )
  for (const { file, uid, tags, schemaVersion } of dashboards) {
    assert.equal(`skerry-${file}`, `${uid}.json`)
    assert.deepEqual(tags, ['skerry'])
    assert.ok(schemaVersion >= 36, 'data sources are named by their uid since then')
  }
})

const isOver = (one: Panel['gridPos'], other: Panel['gridPos']) =>
  one.x < other.x + other.w && other.x < one.x + one.w && one.y < other.y + other.h && other.y < one.y + one.h

for (const { file, panels, templating } of dashboards) {
  test(`${file} lays its panels out side by side`, () => {
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
    for (const [index, { title, gridPos }] of panels.entries()) {
      assert.ok(gridPos.x + gridPos.w <= 24, title)
      for (const other of panels.slice(index + 1)) assert.ok(!isOver(gridPos, other.gridPos), `${title} lies on ${other.title}`)
    }
  })

  test(`${file} says of each panel what it shows, in which unit, and from which region`, () => {
    for (const { type, title, description, datasource, fieldConfig, targets = [] } of panels) {
      if (type === 'row') continue
      assert.match(description ?? '', /\.$/, title)
      assert.ok(fieldConfig?.defaults.unit, title)
      assert.deepEqual(datasource, { type: 'prometheus', uid: `\${datasource}` }, title)
      assert.ok(targets.length > 0, title)
      assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title)
    }
  })

  test(`${file} has a variable for all that its queries refer to, and uses each`, () => {
    const [region, ...others] = templating.list
    assert.deepEqual([region?.name, region?.type, region?.label], ['datasource', 'datasource', 'Region'])
    const queries = [...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)), ...others.map(({ query }) => query)]
    const used = new Set(queries.flatMap((query) => [...query.matchAll(/\$(\w+)/g)].map(([, name]) => name)))
    used.delete('__rate_interval')
    assert.deepEqual([...used].sort(), others.map(({ name }) => name).sort())
  })
}
