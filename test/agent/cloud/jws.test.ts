import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { CompactSign, calculateJwkThumbprint, EmbeddedJWK, importJWK, jwtVerify } from 'jose'
import { createProver } from '../../../agent/cloud/proof.ts'
import { jwsSigner, verifiedJws } from '../../../shared/signing/jws.ts'
import { makeKey, thumbprintOf } from '../../../shared/signing/key.ts'

/** The key of RFC 8037, appendix A. */
const ofRfc = {
  kty: 'OKP',
  crv: 'Ed25519',
  d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
  x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
} as const

/** A document of the cloud, signed by jose with this header. */
async function signedByJose(header: { alg: string; [name: string]: unknown }, payload: object, key = ofRfc): Promise<string> {
  const signer = new CompactSign(Buffer.from(JSON.stringify(payload))).setProtectedHeader(header)
  return signer.sign(await importJWK(key, header.alg), { crit: { exp: true } })
}

test('the thumbprint of a key is that of RFC 8037, appendix A.3', () => {
  assert.equal(thumbprintOf(ofRfc), 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k')
})

test('jose verifies a proof, and finds the same thumbprint', async () => {
  const key = makeKey()
  const url = 'https://cloud.example.org/v1/regions/r-1/status'
  const proof = createProver(key).prove({ method: 'PATCH', url, now: 1_796_000_000_900, credential: 'c'.repeat(16) })
  const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt', currentDate: new Date(0) })
  assert.deepEqual(
    { ...payload, jti: typeof payload.jti },
    { jti: 'string', htm: 'PATCH', htu: url, iat: 1_796_000_000, ath: 'WFz2bNfhrIjCb29Z7-aunOk3W5ApfIYH-NWNbf1bVQo' },
  )
  assert.equal(protectedHeader.alg, 'EdDSA')
  assert.deepEqual(Object.keys(protectedHeader.jwk ?? {}).sort(), ['crv', 'kty', 'x'], 'the private part stays')
  assert.equal(await calculateJwkThumbprint(key), thumbprintOf(key))
})

test('a document that jose has signed is verified, under both names of the algorithm', async () => {
  for (const alg of ['EdDSA', 'Ed25519']) {
    const document = await signedByJose({ alg, typ: 'a+jws' }, { sequence: 7 })
    assert.deepEqual(verifiedJws(document, ofRfc), { typ: 'a+jws', payload: { sequence: 7 } })
  }
})

test('nothing is taken that this key did not sign as it stands', async () => {
  const document = await signedByJose({ alg: 'EdDSA', typ: 'a+jws' }, { sequence: 7 })
  const [head = '', payload = '', signature = ''] = document.split('.')
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const stranger = createPublicKey(createPrivateKey({ key: makeKey(), format: 'jwk' })).export({ format: 'jwk' })
  assert.equal(verifiedJws(document, stranger as never), undefined, 'another key')
  const hostile = {
    'another payload': `${head}.${encode({ sequence: 8 })}.${signature}`,
    'another header': `${encode({ alg: 'Ed25519', typ: 'b+jws' })}.${payload}.${signature}`,
    'no signature': `${head}.${payload}.`,
    'no algorithm': `${encode({ alg: 'none', typ: 'a+jws' })}.${payload}.`,
    'a cut signature': `${head}.${payload}.${signature.slice(0, -2)}`,
    'a fourth part': `${document}.${signature}`,
    nothing: '',
  }
  for (const [what, text] of Object.entries(hostile)) assert.equal(verifiedJws(text, ofRfc), undefined, what)
})

test('a header that asks for more than is known is refused, although the signature is right', async () => {
  const extended = await signedByJose({ alg: 'EdDSA', typ: 'a+jws', crit: ['exp'], exp: 1 }, { sequence: 7 })
  assert.equal(verifiedJws(extended, ofRfc), undefined)
  const { privateKey } = generateKeyPairSync('ed25519')
  const { kty, crv, x } = createPublicKey(privateKey).export({ format: 'jwk' }) as typeof ofRfc
  assert.deepEqual(verifiedJws(jwsSigner({ typ: 'a+jws' }, privateKey)({ a: 1 }), { kty, crv, x }), { typ: 'a+jws', payload: { a: 1 } })
  assert.equal(verifiedJws(jwsSigner({} as never, privateKey)({ a: 1 }), { kty, crv, x }), undefined, 'no type')
})
