import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

/** What gawk refuses as the name of a variable: its functions and keywords beyond POSIX (gawk manual 5.3, "Function Names", "Namespaces"). */
const refusedByGawk = (
  'and asort asorti bindtextdomain compl dcgettext dcngettext func gensub include isarray load lshift mkbool mktime namespace or patsplit ' +
  'rshift strftime strtonum systime typeof xor'
).split(' ')

test('no variable of awk has a name that gawk, the awk of many distributions, refuses', () => {
  const scripts = globSync('deploy/**/*.sh')
  assert.ok(scripts.length > 5)
  const refused = scripts.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/-v (\w+)=/g)].flatMap(([, name = '']) =>
      refusedByGawk.includes(name) ? [`${file}: ${name}`] : [],
    ),
  )
  assert.deepEqual(refused, [])
})
