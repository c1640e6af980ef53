import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import { collectSecrets, openSecrets, readEncryptionKey, sealSecrets } from '../../../agent/region-file/secrets.ts'
import { databaseSpec, splitSecrets } from '../../../agent/resources/database.ts'
import { desiredSecrets } from '../../../agent/resources/database-secrets.ts'
import type { RetainedDatabase } from '../../../agent/resources/retained-database.ts'
import { Problem } from '../../../shared/errors.ts'
import type { ClusterRequest } from '../../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { everything, target } from '../resources/samples.ts'

const never = new AbortController().signal
const { spec, secrets } = splitSecrets(databaseSpec.parse(everything))
/** Those that are in no other text by chance. */
const telling = Object.values(secrets).filter(({ length }) => length > 8)

/** The Secrets of a database, as the cluster has them. */
function standing(version = '1'): KubernetesObject[] {
  return desiredSecrets(target, spec, secrets).map((object) => ({
    ...object,
    metadata: { ...object.metadata, uid: `uid-of-${object.metadata.name}`, resourceVersion: version },
  }))
}

const kept = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'retained-lock-gate.0f3a9c1e', namespace: 'skerry', uid: 'u', resourceVersion: '7' },
}
const former = JSON.stringify({ labels: {}, type: 'Opaque', data: { password: 'c2VjcmV0' } })

function clusterWith(objects: KubernetesObject[]) {
  const requests: ClusterRequest[] = []
  return {
    requests,
    // biome-ignore lint/suspicious/noExplicitAny: as the interface has it
    async request(request: ClusterRequest): Promise<any> {
      requests.push(request)
      if (request.path.endsWith('/secrets')) return { metadata: {}, items: objects }
      if (request.path.endsWith('/retained-lock-gate.0f3a9c1e'))
        return { ...kept, data: { 'user-password-lock-gate-0': Buffer.from(former).toString('base64') } }
      throw new Problem('not-found', request.path)
    },
  }
}

const retained = (id: string, names: string[]) => ({ metadata: { name: id }, spec: { secrets: names } }) as unknown as RetainedDatabase

const collect = (cluster: ReturnType<typeof clusterWith>) =>
  collectSecrets(
    { cluster, namespace: 'skerry' },
    [{ project: 'harbour', spec }],
    [retained('lock-gate.0f3a9c1e', ['user-password-lock-gate-0']), retained('tide.00000000', []), retained('gone.11111111', ['a'])],
    never,
  )

test('the secrets of databases are those that a request gives, by their places, and those of deleted ones as they are kept', async () => {
  const cluster = clusterWith(standing())
  const { content } = await collect(cluster)
  assert.deepEqual(content.databases, { 'harbour/tidal-gauge': secrets })
  assert.deepEqual(content.retained, { 'lock-gate.0f3a9c1e': { 'user-password-lock-gate-0': former } })
  const [list] = cluster.requests
  assert.equal(list?.path, '/api/v1/namespaces/project-harbour/secrets')
  assert.match(String(list?.query?.labelSelector), /managed-by=skerry,skerry\.dev\/database$/)
})

test('what names the versions of secrets changes with them, and says nothing of what is in them', async () => {
  const [one, same, other] = await Promise.all(['1', '1', '2'].map((version) => collect(clusterWith(standing(version)))))
  assert.equal(one?.versions, same?.versions)
  assert.notEqual(one?.versions, other?.versions)
  for (const value of telling) assert.ok(!one?.versions.includes(value))
})

const pairs: Record<string, { publicKey: KeyObject; privateKey: KeyObject }> = {
  'P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  'P-384': generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  'P-521': generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  X25519: generateKeyPairSync('x25519'),
}
const pem = (key: KeyObject) => key.export({ type: key.type === 'public' ? 'spki' : 'pkcs8', format: 'pem' }).toString()
const jwk = (key: KeyObject) => JSON.stringify(key.export({ format: 'jwk' }))

for (const [name, { publicKey, privateKey }] of Object.entries(pairs)) {
  for (const [form, write] of Object.entries({ PEM: pem, JWK: jwk })) {
    test(`secrets for a key on ${name}, given as ${form}, are opened with that key alone`, async () => {
      const { content } = await collect(clusterWith(standing()))
      const sealed = await sealSecrets(content, readEncryptionKey(write(publicKey), 'public'))
      for (const value of telling) assert.ok(!JSON.stringify(sealed).includes(value))
      assert.deepEqual(await openSecrets(sealed, readEncryptionKey(write(privateKey), 'private')), content)
      const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
      await assert.rejects(openSecrets(sealed, other), /This key does not open the secrets of the file/)
      const cut = { ...sealed, ciphertext: sealed.ciphertext.slice(0, -8) }
      await assert.rejects(openSecrets(cut, privateKey), /or they are damaged/)
    })
  }
}

const unusable: [what: string, text: string, says: RegExp][] = [
  ['a private key in PEM', pem(pairs['P-256']?.privateKey as KeyObject), /it is a private key/],
  ['a private key as JWK', jwk(pairs['P-256']?.privateKey as KeyObject), /it is a private key/],
  ['a key of RSA', pem(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey), /must be a key of EC/],
  ['a key that only signs', pem(generateKeyPairSync('ed25519').publicKey), /must be a key of EC/],
  ['a key on a curve of others', pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey), /must be a key of EC/],
  ['a password', 'hunter2', /neither a public key in PEM nor a JWK/],
  ['JSON that is none', '{"kty":"EC"', /neither a public key in PEM nor a JWK/],
]
for (const [what, text, says] of unusable) {
  test(`${what} is no recipient, and the reason has no word of it`, () => {
    assert.throws(
      () => readEncryptionKey(text, 'public'),
      (error: Error) => says.test(error.message) && !error.message.includes(text.slice(0, 20)),
    )
  })
}
