import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { watchedOutput } from '../../../agent/cli/output.ts'

/** Standard output and standard error; the first takes nothing with this error. */
function streams(code?: string) {
  const said = { out: '', err: '' }
  const stream = (member: 'out' | 'err', fault?: string) =>
    new Writable({
      write(chunk, _encoding, done) {
        if (fault !== undefined) return done(Object.assign(new Error(`write ${fault}`), { code: fault }))
        said[member] += String(chunk)
        done()
      },
    }) as unknown as NodeJS.WriteStream
  return { said, process: { stdout: stream('out', code) as never, stderr: stream('err') as never } }
}

test('a command whose output goes out is whole', async () => {
  const { said, process } = streams()
  const output = watchedOutput('skerry-agent export', process)
  output.out('{}')
  assert.equal(await output.isWhole(), true)
  assert.deepEqual(said, { out: '{}', err: '' })
})

for (const [code, says] of [
  ['ENOSPC', 'the disk is full'],
  ['EPIPE', 'nobody reads it any more'],
] as const)
  test(`a command whose output ends with ${code} says that it is not whole`, async () => {
    const { said, process } = streams(code)
    const output = watchedOutput('skerry-agent export', process)
    output.out('{}')
    assert.equal(await output.isWhole(), false)
    assert.equal(said.err, `skerry-agent export: not all of it was written: ${says}.\n`)
  })
