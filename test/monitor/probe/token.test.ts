import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { serve } from '../checks/servers.ts'
import { start } from './asking.ts'

type Given = { headers: Record<string, unknown>; method?: string }

/** A token server, a target that accepts its token, and probes of a module that asks for one. */
async function scene(t: TestContext, answer: Record<string, unknown>, { inBody = false, oauth2 = {}, hosts = ['localhost'] } = {}) {
  const asked: string[] = []
  const known = { token: 't0ken-1' }
  const target = await serve(t, {
    '/token': ({ headers }: Given, body: string) => {
      asked.push(`${headers.authorization ?? 'none'} ${body}`)
      if (inBody && headers.authorization !== undefined) return { status: 401, body: '{}' }
      return { body: JSON.stringify({ access_token: known.token, ...answer }) }
    },
    '/': ({ headers }: Given) => ({ status: headers.authorization === `Bearer ${known.token}` ? 200 : 401, body: 'x' }),
    '/away': () => ({ status: 302, body: 'x', headers: { location: `http://localhost:${new URL(target).port}/` } }),
    [`/${known.token}`]: () => ({ body: 'x' }),
    '/echo': () => ({ status: 302, body: 'x', headers: { location: `/${known.token}` } }),
  })
  const allow = [{ hosts, addresses: ['127.0.0.0/8'], ports: [`${new URL(target).port}-${new URL(target).port}`] }]
  const http = {
    preferred_ip_protocol: 'ip4',
    oauth2: { client_id: 'a b', client_secret: 's3cr+t', token_url: `${target}/token`, ...oauth2 },
  }
  const { run, ask } = await start(t, { allow, modules: { x: { prober: 'http', http } } } as never)
  const success = async (path = '/') => (await run({ module: 'x', target: target + path })).value('probe_success')
  return { asked, known, target, success, ask: (more = {}) => ask({ module: 'x', target: `${target}/`, ...more }) }
}

const basic = `Basic ${Buffer.from('a+b:s3cr%2Bt').toString('base64')}`

test('a token is requested with the client credentials, and kept until it expires', async (t) => {
  const { asked, success } = await scene(
    t,
    { token_type: 'bearer', expires_in: 3600 },
    { oauth2: { scopes: ['read', 'write'], endpoint_params: { audience: 'site' } } },
  )
  assert.deepEqual([await success(), await success()], [1, 1])
  assert.deepEqual(asked, [`${basic} grant_type=client_credentials&scope=read+write&audience=site`])
})

for (const answer of [{}, { expires_in: 5 }, { expires_in: 'soon' }])
  test(`a token is requested for each probe if the answer has ${JSON.stringify(answer)}`, async (t) => {
    const { asked, success } = await scene(t, answer)
    assert.deepEqual([await success(), await success()], [1, 1])
    assert.equal(asked.length, 2)
  })

test('a token that the target does not accept any more is requested again by the next probe', async (t) => {
  const { known, success } = await scene(t, { expires_in: 3600 })
  assert.equal(await success(), 1)
  known.token = 't0ken-2'
  assert.deepEqual([await success(), await success()], [0, 1])
})

test('a token server that wants the credentials in the body gets them there', async (t) => {
  const { asked, success } = await scene(t, {}, { inBody: true })
  assert.equal(await success(), 1)
  assert.deepEqual(asked, [
    `${basic} grant_type=client_credentials`,
    'none grant_type=client_credentials&client_id=a+b&client_secret=s3cr%2Bt',
  ])
})

test('a token is not sent to another origin, and is not shown', async (t) => {
  const { success, ask, target } = await scene(t, { expires_in: 3600 })
  assert.equal(await success('/away'), 0)
  const shown = await (await ask({ debug: 'true', target: `${target}/echo` })).text()
  assert.match(shown, /Received redirect/)
  assert.doesNotMatch(shown, /t0ken-1|s3cr/)
})

for (const answer of [{ access_token: undefined }, { access_token: 'a\r\nb' }, { access_token: 'x'.repeat(70_000) }, { access_token: 7 }])
  test(`a token server that answers with ${JSON.stringify(answer).slice(0, 40)} fails the probe`, async (t) => {
    assert.equal(await (await scene(t, answer)).success(), 0)
  })

test('a rule must allow the token server', async (t) => {
  const { ask, asked } = await scene(t, {}, { oauth2: { token_url: 'http://inside.example.net/token' } })
  const response = await ask()
  assert.equal(response.status, 403)
  assert.match(await response.text(), /The token_url of the module is not allowed/)
  assert.equal(asked.length, 0)
})
