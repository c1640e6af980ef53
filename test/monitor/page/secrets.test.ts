import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkKinds } from '../../../monitor/checks/index.ts'
import type { CheckKind } from '../../../monitor/checks/kind.ts'
import { monitorConfig } from '../../../monitor/config.ts'
import { probers } from '../../../monitor/probe/probers/index.ts'
import type { Prober } from '../../../monitor/probe/probers/prober.ts'
import { actionConfig, actionOf } from '../../../monitor/prober/actions/config.ts'
import { effectiveConfig } from '../../../shared/config/help.ts'
import { shownConfig } from '../../../shared/config/shown.ts'
import { discretionOf } from '../../../shared/discretion.ts'
import { fieldKind, Secret } from '../../../shared/fields.ts'
import { core, defOf, literals, type Schema } from '../../../shared/schema.ts'
import { startEndpoint } from '../metrics/endpoint-in-hand.ts'
import { ranStatus } from './in-hand.ts'

const canary = 'c4n4ry-password'

/** Values with a secret, one for each place of the schema where one may stand: only what leads there, so they need not be valid. */
function* withSecret(schema: Schema, depth = 0): Generator<unknown> {
  if (depth > 9) return
  const kind = fieldKind(schema)
  if (kind === 'secretText') yield canary
  if (kind === 'secret' || kind === 'secretText') return yield new Secret({ value: canary })
  switch (discretionOf(schema)) {
    case 'whole':
      return yield canary
    case 'headers':
      return yield { 'X-Odd-Name': canary, Authorization: canary }
    case 'text':
      return yield `PASS ${canary}`
    case 'arguments':
      return yield ['/usr/lib/plugin', '--password', canary, `--token=${canary}`, '-p', canary, `-p${canary}`]
    case 'url':
      return yield `https://user:${canary}@proxy.example.com/?key=${canary}`
    case 'steps':
      return yield [{ expect: 'login:', send: canary }, { send: `PASS ${canary}` }]
    case undefined:
  }
  const def = defOf(core(schema))
  if (def.shape) {
    const fixed = Object.entries(def.shape).flatMap(([name, field]) => (literals(field).length === 1 ? [[name, literals(field)[0]]] : []))
    for (const [name, field] of Object.entries(def.shape))
      for (const value of withSecret(field, depth + 1)) yield { ...Object.fromEntries(fixed), [name]: value }
  }
  for (const option of def.options ?? []) yield* withSecret(option, depth + 1)
  if (def.element) for (const value of withSecret(def.element, depth + 1)) yield [value]
  if (def.valueType) for (const value of withSecret(def.valueType, depth + 1)) yield { any: value }
}

function assertHidden(text: string, where: string): void {
  assert.ok(!text.includes('c4n4ry'), `${where}: ${text.slice(Math.max(0, text.indexOf('c4n4ry') - 200), text.indexOf('c4n4ry') + 50)}`)
}

test('no secret of a check is on its page or in /config, wherever one may stand', async (t) => {
  const { url, prober } = await startEndpoint(t)
  let places = 0
  for (const [kind, { options }] of Object.entries<CheckKind>(checkKinds)) {
    const values = [...withSecret(options)]
    places += values.length
    prober.statuses = values.map((value, index) =>
      ranStatus({ name: `${kind} ${index}`, kind: kind as keyof typeof checkKinds, options: value }, { states: ['up'] }),
    )
    for (const path of ['/', '/config', ...values.map((_, index) => `/check?name=${kind}+${index}`)])
      assertHidden(await (await fetch(url + path)).text(), `${kind} at ${path}`)
  }
  assert.ok(places > 60, `${places} places`)
})

test('no secret of an action is in /config', async (t) => {
  const { url, prober } = await startEndpoint(t)
  const actions = [...withSecret(actionConfig)].map((value) =>
    actionOf({
      every: 1,
      headerFiles: {},
      secretFiles: {},
      on: ['down'],
      urlFile: new Secret({ value: canary }),
      ...(value as object),
    } as never),
  )
  assert.ok(actions.length >= 3)
  prober.statuses = [ranStatus({ name: 'a', actions }, { states: ['up'] })]
  for (const path of ['/config', '/check?name=a']) assertHidden(await (await fetch(url + path)).text(), path)
})

test('no secret of the configuration is in what is shown of it', () => {
  const values = [...withSecret(monitorConfig)]
  assert.ok(values.length > 5)
  for (const value of values)
    assertHidden(JSON.stringify(effectiveConfig(monitorConfig, value)), JSON.stringify(Object.keys(value as object)))
})

test('no secret of a module is in what is shown of it', () => {
  for (const [name, { settings }] of Object.entries<Prober>(probers))
    for (const value of withSecret(settings)) {
      assertHidden(JSON.stringify(effectiveConfig(settings, value)), name)
      // As it is parsed: a text that is a secret is one by then.
      if (!JSON.stringify(value, (_, each) => (each instanceof Secret ? '' : each)).includes(`:"${canary}"`))
        assertHidden(JSON.stringify(shownConfig(settings, value)), name)
    }
})

/** Fields whose names speak of a secret, and that hold none. */
const harmless = /^(sslKeyAlgorithm|keyType|secretName|key|passwordHash)$/

test('every field whose name speaks of a secret is marked as one, or is the path of a file', () => {
  const unmarked: string[] = []
  const look = (schema: Schema, path: string, depth = 0): void => {
    if (depth > 9 || ['secret', 'secretText'].includes(fieldKind(schema) ?? '') || discretionOf(schema) !== undefined) return
    const def = defOf(core(schema))
    for (const [name, field] of Object.entries(def.shape ?? {})) {
      const isText = defOf(core(field)).type === 'string' && fieldKind(field) === undefined && discretionOf(field) === undefined
      const speaks = /pass|token|secret|credential|(api|private|access)_?key|bearer|cookie/i.test(name)
      if (isText && speaks && !/_?file$|Dir$|^token_url$/i.test(name) && !harmless.test(name)) unmarked.push(`${path}.${name}`)
      look(field, `${path}.${name}`, depth + 1)
    }
    for (const each of [...(def.options ?? []), def.element, def.valueType]) if (each) look(each, path, depth + 1)
  }
  look(monitorConfig, 'monitor')
  look(actionConfig, 'action')
  for (const [kind, { options }] of Object.entries<CheckKind>(checkKinds)) look(options, kind)
  for (const [name, { settings }] of Object.entries<Prober>(probers)) look(settings, name)
  assert.deepEqual(unmarked, [])
})
