import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import type { Secrets } from '../resources/kind.ts'
import { label, managedBy } from '../resources/labels.ts'

/** A packed piece of a file that came with a request, at most this many bytes: a Secret holds 1 MiB. */
export const maxPieceBytes = 512 * 1024

/** The key of a piece in its Secret. */
const pieceKey = 'piece'

/** The name of the Secret with a piece, from 0. The collector and the policy that confines the agent know names of this form. */
export function pieceName(secret: string, index: number): string {
  return `${secret}-${String(index).padStart(4, '0')}`
}

/** The name of the Secret of the request to which a Secret belongs. */
export function requestSecretOf(name: string): string {
  return name.replace(/^(operation-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-\d{4}$/, '$1')
}

/** The secrets of a request, and the pieces of the file that came with it. */
type Held = { secrets?: Secrets | undefined; pieces?: readonly Buffer[] | undefined }

/**
 * The Secrets of one request: one with its passwords, and one for each piece of its file. They are created before the operation that refers
 * to them.
 */
export class RequestSecret {
  readonly #cluster: Cluster
  readonly #namespace: string
  #created: { name: string; held: Held } | undefined
  /** The operation that refers to it may have been written. From then on, only the executor or the collector deletes the Secret. */
  handedOver = false

  constructor(cluster: Cluster, namespace: string) {
    this.#cluster = cluster
    this.#namespace = namespace
  }

  get name(): string | undefined {
    return this.#created?.name
  }

  /** Makes it hold this. A repeated decision on the same request may need something else, or nothing. */
  async hold({ secrets, pieces = [] }: Held): Promise<void> {
    const held = { secrets, pieces }
    if (this.#created && isDeepStrictEqual(this.#created.held, held)) return
    await this.discard()
    if (!secrets && pieces.length === 0) return
    const name = `operation-${randomUUID()}`
    this.#created = { name, held }
    await this.#create(name, { stringData: secrets ?? {} })
    for (const [index, piece] of pieces.entries())
      await this.#create(pieceName(name, index), { data: { [pieceKey]: piece.toString('base64') } })
  }

  async #create(name: string, content: object): Promise<void> {
    const metadata = { name, namespace: this.#namespace, labels: { ...managedBy, [label.operationSecret]: 'true' } }
    const body = { apiVersion: 'v1', kind: 'Secret', metadata, immutable: true, ...content }
    await this.#cluster.request({ method: 'POST', path: pathOf(kinds.Secret, this.#namespace), body })
  }

  /** Deletes it unless it was handed over. */
  async discard(): Promise<void> {
    if (this.#created === undefined || this.handedOver) return
    const { name, held } = this.#created
    this.#created = undefined
    await discardSecrets(this.#cluster, this.#namespace, { name, pieces: held.pieces?.length ?? 0 })
  }
}

/** Deletes the Secrets of a request. What fails is left to the collector. @param pieces how many pieces its file has */
export async function discardSecrets(
  cluster: Cluster,
  namespace: string,
  { name, pieces }: { name: string; pieces: number },
): Promise<void> {
  const names = [name, ...Array.from({ length: pieces }, (_, index) => pieceName(name, index))]
  for (const each of names) await cluster.request({ method: 'DELETE', path: pathOf(kinds.Secret, namespace, each) }).catch(() => {})
}

/** The piece in such a Secret; undefined if it has none. */
export function pieceIn(secret: KubernetesObject | undefined): Buffer | undefined {
  const value: unknown = secret?.data?.[pieceKey]
  return typeof value === 'string' ? Buffer.from(value, 'base64') : undefined
}

/** The content of such a Secret; empty if it is gone. */
export function secretsIn(secret: KubernetesObject | undefined): Secrets {
  const entries = Object.entries((secret?.data ?? {}) as Record<string, string>)
  return Object.fromEntries(entries.map(([place, value]) => [place, Buffer.from(value, 'base64').toString('utf8')]))
}
