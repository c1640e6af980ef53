import assert from 'node:assert/strict'
import { test } from 'node:test'
import { probeBucket } from '../../../agent/bucket/index.ts'
import { documented } from './documented.ts'
import { startStore, tools } from './stand-in.ts'

test('each documented refusal of a store is one finding, with its cause and what to do, and without the key', async (t) => {
  for (const { store: name, to, reply, head, given, code, says } of documented) {
    const store = await startStore(t, {
      answer: ({ method, path }) => {
        const isObject = path.includes('.skerry-probe-')
        if (to !== undefined) return isObject && method === to ? reply : undefined
        if (method === 'HEAD') return head ?? (typeof reply === 'string' ? reply : { status: reply.status, headers: reply.headers ?? {} })
        return reply
      },
    })
    const found = await probeBucket({ ...store.place, ...given }, tools, AbortSignal.timeout(30_000))
    const [first] = found
    const said = `${first?.message} ${first?.action}`
    assert.deepEqual(
      found.map((each) => each.code),
      [code],
      `${name}: ${JSON.stringify(found)}`,
    )
    assert.match(said, says, name)
    assert.doesNotMatch(said, /AKIAEXAMPLE|StringToSign/, name)
  }
})
