import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { secretTexts, shownConfig } from '../../../shared/config/shown.ts'
import { discreet, headerShown, textShown, urlShown } from '../../../shared/discretion.ts'
import { byteSize, duration, Secret, secretFile } from '../../../shared/fields.ts'

const schema = z.strictObject({
  every: duration().prefault('90s'),
  size: byteSize().prefault('1MiB'),
  file: secretFile().optional(),
  inline: z.instanceof(Secret).optional(),
  headers: discreet(z.record(z.string(), z.string()), 'headers').default({}),
  hash: discreet(z.string(), 'whole').optional().describe('A hash'),
  list: z.array(z.strictObject({ url: z.string() })).default([]),
})

test('a configuration is shown as it would be written, without its secrets', () => {
  const value = schema.parse({
    file: '/etc/key',
    inline: new Secret({ value: 'tide-and-time' }),
    headers: { Accept: 'text/html', 'X-Key': 'tide-and-time' },
    hash: 'tide',
    list: [{ url: 'https://user:tide@shop.example.com/a?key=tide&b=c#d' }],
  })
  assert.deepEqual(shownConfig(schema, value), {
    every: '1m30s',
    size: '1MiB',
    file: '/etc/key',
    inline: '<secret>',
    headers: { Accept: 'text/html', 'X-Key': '<secret>' },
    hash: '<secret>',
    list: [{ url: 'https://<secret>@shop.example.com/a?key=<secret>&b=<secret>#d' }],
  })
  assert.deepEqual(secretTexts(schema, value), ['tide-and-time', 'tide-and-time', 'tide-and-time'])
})

test('without a schema, secrets are hidden all the same', () => {
  assert.deepEqual(shownConfig(undefined, { a: [{ b: new Secret({ value: 'x' }) }], c: 5 }), { a: [{ b: '<secret>' }], c: 5 })
})

test('a text that authenticates shows at most its command', () => {
  for (const [text, shown] of [
    ['EHLO harbour', 'EHLO harbour'],
    ['PASS tide', 'PASS <secret>'],
    ['{"password":"tide"}', '<secret>'],
    ['a1 LOGIN user tide', '<secret>'],
    ['AUTH PLAIN dGlkZQ==', 'AUTH <secret>'],
  ] as const)
    assert.equal(textShown(text), shown)
})

test('of the arguments of a program, only names of options and numbers are shown', () => {
  const given = ['/usr/lib/plugin', '-w', '8,6,4', '--password', 'tide', '--token=tide', '-ptide', 'tide', '--verbose']
  const shown = ['/usr/lib/plugin', '-w', '8,6,4', '--password', '<secret>', '--token=<secret>', '-p<secret>', '<secret>', '--verbose']
  const schema = discreet(z.array(z.string()), 'arguments')
  assert.deepEqual(shownConfig(schema, given), shown)
})

test('header fields are shown by name, and unknown ones not at all', () => {
  assert.equal(headerShown('Content-Type', 'text/html'), 'text/html')
  assert.equal(headerShown('PRIVATE-TOKEN', 'tide'), '<secret>')
  assert.equal(headerShown('X-Anything', ['a', 'b']), '<secret>')
})

test('a URL keeps its address, and the names in its query', () => {
  assert.equal(
    urlShown('GET https://a.example/b?c&d=e#f then http://[::1]:80/'),
    'GET https://a.example/b?<secret>&d=<secret>#f then http://[::1]:80/',
  )
  assert.equal(urlShown('no URL ?a=b'), 'no URL ?a=b')
})
