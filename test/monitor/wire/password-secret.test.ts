import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiServer } from '../../../monitor/wire/api-server.ts'
import { withPassword } from '../../../monitor/wire/password-secret.ts'
import { CheckFailure } from '../../../monitor/wire/reasons.ts'
import type { Secret } from '../../../shared/fields.ts'

const passwordSecret = { namespace: 'project-harbour', name: 'user-system-cranes', key: 'password' }

/** An API server that answers every request so. */
function answering(status: number, body: unknown, asked: string[] = []): ApiServer {
  return {
    server: new URL('https://127.0.0.1:1'),
    async get(path) {
      asked.push(path)
      return { status, headers: {}, body: Buffer.from(JSON.stringify(body)) } as never
    },
  }
}
const signal = AbortSignal.timeout(5_000)

test('a password is read from its Secret for each run, and stays out of the options that are kept', async () => {
  const asked: string[] = []
  const apiServer = answering(200, { data: { password: Buffer.from('tide').toString('base64') } }, asked)
  const options = { username: 'system', passwordSecret }
  for (let run = 0; run < 2; run++) {
    const { passwordFile, username } = await withPassword<typeof options & { passwordFile?: Secret }>(options, {
      apiServer,
      signal,
    })
    assert.deepEqual([username, passwordFile?.reveal(), JSON.stringify(passwordFile)], ['system', 'tide', '"[masked]"'])
  }
  assert.deepEqual(asked, Array(2).fill('/api/v1/namespaces/project-harbour/secrets/user-system-cranes'))
  assert.deepEqual(options, { username: 'system', passwordSecret })
})

test('without a Secret nobody is asked', async () => {
  const options = { username: 'system' }
  assert.equal(await withPassword(options, { signal }), options)
})

const failures: [name: string, apiServer: ApiServer | undefined, reason: string, detail: RegExp][] = [
  ['may not be read', answering(403, {}), 'unauthorized', /Grant it "get secrets" for project-harbour\/user-system-cranes/],
  ['is not there', answering(404, {}), 'missing', /Secret project-harbour\/user-system-cranes with the password does not exist/],
  ['has not the key', answering(200, { data: {} }), 'missing', /no key password/],
  ['is no Secret', answering(200, { data: 7 }), 'protocol', /documented shape/],
  ['stands in no cluster', undefined, 'misconfigured', /not connected to a cluster/],
]
for (const [name, apiServer, reason, detail] of failures)
  test(`a Secret that ${name} is a failure that says so`, async () => {
    await assert.rejects(withPassword({ passwordSecret }, { signal, ...(apiServer && { apiServer }) }), (error) => {
      assert.ok(error instanceof CheckFailure)
      assert.equal(error.reason, reason)
      assert.match(error.message, detail)
      return true
    })
  })
