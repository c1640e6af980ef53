import assert from 'node:assert/strict'
import { test } from 'node:test'
import { whyWithoutCredentials } from '../../../agent/resources/pull-secret.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')
const none = 'holds no credentials yet'

const cases: { name: string; data?: Record<string, string>; config?: unknown; says: string | undefined }[] = [
  { name: 'a user and a password in one', config: { auths: { 'quay.example': { auth: base64('pilot:secret') } } }, says: undefined },
  { name: 'a user and a password', config: { auths: { 'quay.example': { username: 'pilot', password: 'secret' } } }, says: undefined },
  { name: 'a token', config: { auths: { 'quay.example': { identitytoken: 'token' } } }, says: undefined },
  { name: 'one registry of two', config: { auths: { a: {}, b: { auth: base64('pilot:secret') } } }, says: undefined },
  { name: 'an empty object', config: {}, says: none },
  { name: 'no registry', config: { auths: {} }, says: none },
  { name: 'null', config: null, says: none },
  { name: 'a list', config: [], says: none },
  { name: 'the older form', config: { 'quay.example': { auth: base64('pilot:secret') } }, says: none },
  {
    name: 'a registry without a login',
    config: { auths: { 'quay.example': {} } },
    says: `${none}: it names quay.example, without a user and a password`,
  },
  {
    name: 'a login that the kubelet cannot read',
    config: { auths: { 'quay.example': { auth: 'pilot:secret' } } },
    says: `${none}: it names quay.example, without a user and a password`,
  },
  {
    name: 'registries in a list',
    config: { auths: ['quay.example'] },
    says: 'holds no credentials: "auths" in its .dockerconfigjson is not a map of registries',
  },
  {
    name: 'text that is not JSON',
    data: { '.dockerconfigjson': base64('auths:') },
    says: 'holds no credentials: its .dockerconfigjson is not JSON',
  },
  { name: 'another key', data: { '.dockercfg': base64('{}') }, says: `${none}: it has no .dockerconfigjson` },
  { name: 'no data', data: {}, says: `${none}: it has no .dockerconfigjson` },
]
for (const { name, config, data = { '.dockerconfigjson': base64(JSON.stringify(config)) }, says } of cases) {
  test(`a pull secret with ${name} ${says ?? 'can be used'}`, () => {
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'quay-login', namespace: 'skerry' }, data }
    assert.equal(whyWithoutCredentials(secret), says)
  })
}
