import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { CompactSign, compactVerify } from 'jose'
import { documentTypes, trustPayload } from '../../agent/cloud/contract/documents.ts'

type KeyPair = { privateKey: KeyObject; publicKey: KeyObject }

/** The keys with which a cloud signs, and the documents that say what it is trusted by. */
export class Signatures {
  readonly #origin: string
  readonly #now: () => number
  /** The present one is the first one. */
  #keys: [KeyPair, ...KeyPair[]] = [generateKeyPairSync('ed25519')]
  /** What it has published about its trust, oldest first: each is signed with a key that the one before names. */
  readonly documents: string[] = []

  /** @param now the clock of the cloud, in Unix milliseconds */
  constructor(origin: string, now: () => number) {
    this.#origin = origin
    this.#now = now
  }

  /** The present key pair. */
  get keys(): KeyPair {
    return this.#keys[0]
  }

  /** The present public key, as the answer to a claim has it. */
  get jwks() {
    return [jwkOf(this.keys)]
  }

  /** A document of the cloud, as a compact JWS. */
  sign(typ: string, payload: object): Promise<string> {
    const signed = new CompactSign(Buffer.from(JSON.stringify(payload))).setProtectedHeader({ alg: 'EdDSA', typ })
    return signed.sign(this.keys.privateKey)
  }

  /** The content of an own document. @throws Error if none of the own keys has signed it, or it is of another type */
  async read(typ: string, document: string): Promise<unknown> {
    for (const { publicKey } of this.#keys) {
      const found = await compactVerify(document, publicKey, { algorithms: ['EdDSA', 'Ed25519'] }).catch(() => undefined)
      if (found?.protectedHeader.typ === typ) return JSON.parse(Buffer.from(found.payload).toString('utf8'))
    }
    throw new Error('it is not signed with an own key')
  }

  /** Publishes by what the cloud is trusted from now on. A new key counts at once, and only those who take the document know it. */
  async publish({ anchors, newKey = false }: { anchors: string[]; newKey?: boolean }): Promise<string> {
    const next = newKey ? generateKeyPairSync('ed25519') : this.keys
    const iat = Math.floor(this.#now() / 1000)
    const payload = { iss: this.#origin, iat, sequence: this.documents.length + 1, anchors, keys: [jwkOf(next)] }
    const document = await this.sign(documentTypes.trust, trustPayload.parse(payload))
    this.documents.push(document)
    if (newKey) this.#keys = [next, ...this.#keys]
    return document
  }
}

function jwkOf({ publicKey }: KeyPair) {
  const { crv, x } = publicKey.export({ format: 'jwk' })
  return { kty: 'OKP', crv, x }
}
