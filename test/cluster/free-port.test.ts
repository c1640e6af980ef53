import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'

const count = 300

test('two processes that look for ports at the same time get different ones', { skip: process.platform !== 'linux' }, async () => {
  const program = `
    import { freePort } from ${JSON.stringify(new URL('./free-port.ts', import.meta.url).href)}
    const ports = []
    while (ports.length < ${count}) ports.push(await freePort())
    console.log(JSON.stringify(ports))`
  const others = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
  // Without a word between them they would meet about four times.
  const own = new Set(await Promise.all(Array.from({ length: count }, freePort)))
  const theirs: number[] = JSON.parse((await others).stdout)
  assert.deepEqual([own.size, theirs.length], [count, count])
  assert.deepEqual(
    theirs.filter((port) => own.has(port)),
    [],
  )
})
