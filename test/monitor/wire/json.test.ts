import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseJson } from '../../../monitor/wire/json.ts'
import { fc } from '../../shared/property.ts'
import { heldBy } from './turns-in-hand.ts'

/** JSON of all sizes and depths, spaced in various ways, long enough to be parsed in pieces. */
const long = fc
  .record({
    small: fc.array(fc.json({ maxDepth: 4 }), { minLength: 1, maxLength: 8 }),
    space: fc.constantFrom('', ' ', '\n\t', ' '.repeat(20_000)),
    text: fc.constantFrom('"', '\\', '\\"', '],[', '{"', 'é😀', '\u2028').map((unit) => JSON.stringify(unit.repeat(7000))),
    depth: fc.integer({ min: 1, max: 30 }),
  })
  .map(({ small, space, text, depth }) => {
    const items = [...small, text, ...Array(Math.ceil(70_000 / small.join().length)).fill(small[0]), ...small]
    const members = items.map((item, index) => `"${index % 5000}":${space}${item}`).slice(0, 12_000)
    const array = `[${space}${items.join(`${space.slice(0, 2)},`)}${space}]`
    const object = `{"__proto__":{"a":1},${members.join(',')}${space}}`
    return `${'[{"a":'.repeat(depth)}[${array},${object},${array}]${'}]'.repeat(depth)}`
  })

const changes = ['', ',', ',,', ']', '}', '[', '{', '"', ':', '\\', '1', ' ', 'x', '\u00a0', '-']

async function outcome(parse: () => unknown): Promise<unknown> {
  try {
    return { value: await parse() }
  } catch (error) {
    assert.ok(error instanceof SyntaxError, String(error))
    return 'refused'
  }
}

test('long JSON is what JSON.parse makes of it, also with a fault', async () => {
  await fc.assert(
    fc.asyncProperty(long, fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(...changes), async (text, where, change) => {
      const at = Math.floor(where * text.length)
      for (const each of [text, `${text.slice(0, at)}${change}${text.slice(at + 1)}`, `${text.slice(0, at)}${change}${text.slice(at)}`]) {
        const expected = await outcome(() => JSON.parse(each))
        assert.deepEqual(await outcome(() => parseJson(Buffer.from(each))), expected)
      }
    }),
    { numRuns: 10 },
  )
})

for (const text of ['', ' ', '[', '[1', '{"a"', '[1,]', '[,1]', '{,}', '{"a":1,}', '{"a":}', '[1}', '{"a":1]', '1 2', 'nul', '"a', '[]]]'])
  test(`JSON that is long and ends with ${text === '' ? 'nothing' : text} is refused`, async () => {
    const blanks = ' '.repeat(70_000)
    await assert.rejects(parseJson(Buffer.from(blanks + text)), SyntaxError)
    const items = '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",'.repeat(2000)
    await assert.rejects(parseJson(Buffer.from(`[${items}${text}`)), SyntaxError)
  })

for (const { name, text } of [
  { name: 'arrays in each other', text: '['.repeat(4 * 2 ** 20) + ']'.repeat(4 * 2 ** 20) },
  { name: 'small objects', text: `[${'{"a":1},'.repeat(2 ** 18)}1]` },
])
  test(`MiBs of ${name} do not hold the event loop`, async () => {
    const { heldMs } = await heldBy(() => parseJson(Buffer.from(text)).catch((error) => assert.ok(error instanceof SyntaxError)))
    assert.ok(heldMs < 150, `held the event loop for ${heldMs} ms`)
  })
