import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { createUndiciTransport } from '../../../agent/cloud/undici-transport.ts'
import { systemClock } from '../../../shared/clock.ts'
import { proxy } from '../preflight/outside.ts'

type Variable = { name: string; value?: string }
type Rendered = { kind?: string; metadata?: { name: string }; spec?: { template: { spec: { containers: { env: Variable[] }[] } } } }

/** The environment that the chart gives to the agent of a site with a proxy, which is at this port. */
function variablesOf(port: number): Record<string, string> {
  const golden = readFileSync('test/deploy/air-gapped.golden.yaml', 'utf8')
  const objects = parseAllDocuments(golden).map((document): Rendered => document.toJS())
  const agent = objects.find(({ kind, metadata }) => kind === 'Deployment' && metadata?.name === 'skerry-agent')
  const env = agent?.spec?.template.spec.containers[0]?.env ?? []
  const named = env.filter(({ name }) => name.endsWith('_PROXY'))
  assert.deepEqual(named.map(({ name }) => name).sort(), ['HTTPS_PROXY', 'HTTP_PROXY', 'NODE_USE_ENV_PROXY', 'NO_PROXY'])
  return Object.fromEntries(
    named.map(({ name, value = '' }) => [
      name,
      value.replace('proxy.site:3128', `127.0.0.1:${port}`).replace('$(KUBERNETES_SERVICE_HOST)', '10.96.0.1'),
    ]),
  )
}

/** What a proxy is asked for when the link calls a cloud from a pod with these variables. The proxy lets nobody through. */
async function asked(t: TestContext, url: string, edit: (variables: Record<string, string>) => Record<string, string>): Promise<string[]> {
  const { port, asked } = await proxy(t, { status: 403 })
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy']
  const before = names.map((name) => [name, process.env[name]] as const)
  for (const name of names) delete process.env[name]
  Object.assign(process.env, edit(variablesOf(port)))
  const transport = createUndiciTransport({ url, ca: undefined, timeoutMs: 5_000, clock: systemClock })
  try {
    const signal = new AbortController().signal
    await assert.rejects(transport.send({ method: 'GET', path: '/', headers: {} }, signal), { kind: 'unreachable' })
    await assert.rejects(transport.fetchTrust(signal), { kind: 'unreachable' })
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
    await transport.close()
  }
  return asked.map(({ path = '' }) => path)
}

test('the link goes through the proxy that the chart names, and so does the trust document', async (t) => {
  const found = await asked(t, 'https://cloud.example.org', (variables) => variables)
  assert.deepEqual(new Set(found), new Set(['cloud.example.org:443']))
})

test('what the chart exempts is called directly', async (t) => {
  assert.deepEqual(await asked(t, 'https://127.0.0.1:1', (variables) => variables), [])
})

test('a proxy for plain HTTP alone is not for the link', async (t) => {
  const found = await asked(t, 'https://localhost:1', ({ HTTP_PROXY = '' }) => ({ HTTP_PROXY, NO_PROXY: '' }))
  assert.deepEqual(found, [])
})
