import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import type { Secrets } from '../resources/kind.ts'
import { label, managedBy } from '../resources/labels.ts'

/** The Secret with the passwords of one request. It is created before the operation that refers to it. */
export class RequestSecret {
  readonly #cluster: Cluster
  readonly #namespace: string
  #created: { name: string; secrets: Secrets } | undefined
  /** The operation that refers to it may have been written. From then on, only the executor or the collector deletes the Secret. */
  handedOver = false

  constructor(cluster: Cluster, namespace: string) {
    this.#cluster = cluster
    this.#namespace = namespace
  }

  get name(): string | undefined {
    return this.#created?.name
  }

  /** Makes it hold these secrets. A repeated decision on the same request may need others, or none. */
  async hold(secrets: Secrets | undefined): Promise<void> {
    if (this.#created && isDeepStrictEqual(this.#created.secrets, secrets)) return
    await this.discard()
    if (!secrets) return
    const name = `operation-${randomUUID()}`
    const metadata = { name, namespace: this.#namespace, labels: { ...managedBy, [label.operationSecret]: 'true' } }
    const body = { apiVersion: 'v1', kind: 'Secret', metadata, immutable: true, stringData: secrets }
    await this.#cluster.request({ method: 'POST', path: pathOf(kinds.Secret, this.#namespace), body })
    this.#created = { name, secrets }
  }

  /** Deletes it unless it was handed over. A deletion that fails is left to the collector. */
  async discard(): Promise<void> {
    if (this.#created === undefined || this.handedOver) return
    const path = pathOf(kinds.Secret, this.#namespace, this.#created.name)
    this.#created = undefined
    await this.#cluster.request({ method: 'DELETE', path }).catch(() => {})
  }
}

/** The content of such a Secret; empty if it is gone. */
export function secretsIn(secret: KubernetesObject | undefined): Secrets {
  const entries = Object.entries((secret?.data ?? {}) as Record<string, string>)
  return Object.fromEntries(entries.map(([place, value]) => [place, Buffer.from(value, 'base64').toString('utf8')]))
}
