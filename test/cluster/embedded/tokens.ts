import { createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import type { Core, User } from './core.ts'
import type { KubeObject } from './object.ts'

const anonymous: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] }
const administrator: User = { name: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] }

const issuer = 'https://kubernetes.default.svc.cluster.local'

type Claims = { namespace: string; name: string; uid: string; expires: number }

/** Bearer tokens: one for the administrator, and signed ones for ServiceAccounts that are valid as long as the account exists. */
export class Tokens {
  readonly admin = randomBytes(24).toString('base64url')
  readonly #secret = randomBytes(32)
  readonly #core: Core
  readonly #known = new Map<string, Claims>()

  constructor(core: Core) {
    this.#core = core
  }

  /** A token for a ServiceAccount, valid for so many seconds. */
  issue(account: KubeObject, seconds: number, audiences: string[] = [issuer]): { token: string; expires: Date } {
    const { namespace = '', name, uid } = account.metadata
    const issued = Math.floor(Date.now() / 1000)
    const claims = {
      aud: audiences,
      exp: issued + seconds,
      iat: issued,
      nbf: issued,
      iss: issuer,
      jti: randomUUID(),
      'kubernetes.io': { namespace, serviceaccount: { name, uid } },
      sub: `system:serviceaccount:${namespace}:${name}`,
    }
    const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`
    const token = `${text}.${this.#sign(text)}`
    this.#known.set(token, { namespace, name, uid, expires: claims.exp * 1000 })
    return { token, expires: new Date(claims.exp * 1000) }
  }

  /** The user of the Authorization header: anonymous without one, undefined if it is not valid. */
  authenticate(header: string | undefined): User | undefined {
    if (!header) return anonymous
    const token = /^Bearer +(\S+)$/i.exec(header)?.[1]
    if (!token) return undefined
    if (token === this.admin) return administrator
    const claims = this.#known.get(token) ?? this.#read(token)
    if (!claims || claims.expires < Date.now()) return undefined
    const account = this.#core.lookup.get('/serviceaccounts', claims.namespace, claims.name)
    return account?.metadata.uid === claims.uid ? userOf(claims) : undefined
  }

  #read(token: string): Claims | undefined {
    const [header, payload = '', signature = ''] = token.split('.')
    const expected = Buffer.from(this.#sign(`${header}.${payload}`))
    const given = Buffer.from(signature)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const { namespace, serviceaccount } = claims['kubernetes.io']
    return { namespace, name: serviceaccount.name, uid: serviceaccount.uid, expires: claims.exp * 1000 }
  }

  #sign(text: string): string {
    return createHmac('sha256', this.#secret).update(text).digest('base64url')
  }
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const userOf = ({ namespace, name, uid }: Claims): User => ({
  name: `system:serviceaccount:${namespace}:${name}`,
  groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
  uid,
})
