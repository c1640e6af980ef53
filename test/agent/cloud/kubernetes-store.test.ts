import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { createKubernetesStore } from '../../../agent/cloud/kubernetes-store.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { makeKey } from '../../../shared/signing/key.ts'

/** A cluster in which every object is this Secret. */
function clusterWith(text: string): Cluster {
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'skerry-identity' } }
  return {
    server: new URL('https://127.0.0.1:1'),
    request: async <T>() => ({ ...secret, data: { 'state.json': Buffer.from(text).toString('base64') } }) as T,
    async *watch() {},
    close() {},
  }
}

test('an identity that is damaged is named, without a part of its key', async () => {
  const key = makeKey()
  const whole = JSON.stringify({ key })
  const damaged = [whole.replace(key.d, `${key.d}"`), whole.slice(0, -20), whole.replace('Ed25519', 'X'), `'${key.d}'`, '']
  for (const text of damaged) {
    const store = createKubernetesStore('skerry', { cluster: clusterWith(text), mustAct: () => {} })
    await assert.rejects(store.read(), (error: Error) => {
      assert.match(error.message, /^The Secret skerry-identity is damaged\. /)
      const shown = inspect(error, { depth: 9 })
      for (let at = 0; at + 8 <= key.d.length; at += 4) assert.ok(!shown.includes(key.d.slice(at, at + 8)), shown)
      return true
    })
  }
})
