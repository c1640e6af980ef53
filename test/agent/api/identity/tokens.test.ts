import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { createTokens } from '../../../../agent/api/identity/tokens.ts'
import { TokenTime } from '../../../../agent/clock/index.ts'
import { systemClock } from '../../../../shared/clock.ts'
import { mountSecret } from '../../../shared/certificates.ts'
import { createKeptLog } from '../harbour.ts'

const limit = { timeout: 60_000 }
const sha256 = (token: string) => createHash('sha256').update(token).digest('hex')
const entry = (token: string, more = {}) => ({ name: 'cloud', sha256: sha256(token), scopes: ['region:read'], ...more })

async function start(t: TestContext, text: string) {
  const mounted = await mountSecret(t, { tokens: text })
  const kept = createKeptLog()
  const tokens = createTokens(mounted.file('tokens'), { clock: systemClock, time: new TokenTime(systemClock), log: kept.log })
  await tokens.start(AbortSignal.timeout(10_000))
  t.after(() => tokens.stop(0))
  return { tokens, ...kept, replace: (next: string) => mounted.replace({ tokens: next }) }
}

test('a token is known by its hash, several of one name beside one another', limit, async (t) => {
  const { tokens } = await start(t, JSON.stringify([entry('old'), entry('new', { scopes: ['projects:write'] })]))
  assert.deepEqual(tokens.find(sha256('old')), { name: 'token:cloud', unqualified: 'cloud', scopes: new Set(['region:read']) })
  assert.deepEqual(tokens.find(sha256('new')), { name: 'token:cloud', unqualified: 'cloud', scopes: new Set(['projects:write']) })
  assert.equal(tokens.find(sha256('else')), undefined)
})

test('a token may be bound to projects', limit, async (t) => {
  const { tokens } = await start(t, JSON.stringify([entry('bound', { projects: ['harbour', 'dock'] }), entry('free')]))
  assert.deepEqual(tokens.find(sha256('bound'))?.projects, new Set(['harbour', 'dock']))
  assert.equal(tokens.find(sha256('free'))?.projects, undefined)
})

test('a token that has expired is refused, and says so to who has it', limit, async (t) => {
  const { tokens } = await start(
    t,
    `- {name: cloud, sha256: "${sha256('past')}", scopes: [region:read], expires: 2020-01-31T00:00:00Z}
- {name: cloud, sha256: "${sha256('future')}", scopes: [region:read], expires: "2999-01-31T00:00:00+01:00"}`,
  )
  assert.throws(() => tokens.find(sha256('past')), {
    type: 'unauthenticated',
    detail: /^The token expired at 2020-01-31T00:00:00Z; it is \d{4}-.*clock of this machine/,
  })
  assert.equal(tokens.find(sha256('future'))?.name, 'token:cloud')
})

test('a file that is replaced is read again; one that cannot be used is refused and the old one stays', limit, async (t) => {
  const { tokens, replace, seen, lines } = await start(t, JSON.stringify([entry('one')]))
  await replace(JSON.stringify([entry('two')]))
  await seen('file read again')
  assert.equal(tokens.find(sha256('one')), undefined)
  assert.ok(tokens.find(sha256('two')))

  await replace('- {name: cloud, sha256: not-a-hash-but-a-secret, scopes: [region:read]}')
  await seen('changed file is invalid, its last valid content stays in use')
  assert.ok(tokens.find(sha256('two')))
  assert.equal(tokens.isStale(), true)
  assert.doesNotMatch(JSON.stringify(lines), /not-a-hash-but-a-secret/)

  await replace(JSON.stringify([entry('three')]))
  await seen('file read again', 2)
  assert.ok(tokens.find(sha256('three')))
  assert.equal(tokens.isStale(), false)
})

const unusable = [
  { text: '[', says: /it is not YAML \(line 1/ },
  { text: '{}', says: /\/ must be a list, not an object/ },
  { text: JSON.stringify([entry('a', { projects: [] })]), says: /\/0\/projects must have at least 1 item/ },
  { text: JSON.stringify([entry('a', { projects: ['Not an id', 'harbour'] })]), says: /\/0\/projects\/0 / },
  { text: JSON.stringify([entry('a', { scopes: [] })]), says: /\/0\/scopes must have at least 1 item/ },
  { text: JSON.stringify([entry('a', { scopes: ['root'] })]), says: /\/0\/scopes\/0 must be one of "region:read"/ },
  { text: JSON.stringify([entry('a', { expire: 'x', name: '' })]), says: /\/0\/name .*; \/0\/expire .*did you mean "expires"/ },
  { text: JSON.stringify([entry('a'), entry('a')]), says: /\/1\/sha256 is given more than once/ },
  { text: 'a: &a [*a]', says: /./ },
]
for (const { text, says } of unusable) {
  test(`the agent does not start with tokens such as ${text.slice(0, 60)}`, limit, async (t) => {
    await assert.rejects(start(t, text), says)
  })
}
