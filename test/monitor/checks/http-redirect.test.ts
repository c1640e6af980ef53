import assert from 'node:assert/strict'
import { test } from 'node:test'
import { http } from '../../../monitor/checks/http.ts'
import { run } from './run.ts'
import { redirectingPair } from './servers.ts'

test('an HTTP check takes no credentials along to where it is redirected, and not the name of the first host', async (t) => {
  const { port, heard } = await redirectingPair(t)
  const secrets = { Authorization: 'Bearer s3cret', cookie: 'session=s3cret', Host: 's3cret.example' }
  const result = await run(http, { url: `http://127.0.0.1:${port}/`, maxRedirects: 1, headers: { ...secrets, 'X-Site': 'harbour' } })
  assert.equal(result.state, 'up')
  const [first, second] = heard
  assert.equal(first?.match(/s3cret/g)?.length, 3, first)
  assert.doesNotMatch(second ?? '', /s3cret/)
  assert.match(second ?? '', /x-site: harbour/i)
})
