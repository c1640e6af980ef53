import { once } from 'node:events'
import type { Log } from '../../client/log.ts'
import type { Faults } from './faults.ts'

type WebhookStatus = 'in_progress' | 'success' | 'failure' | 'temporary_failure'
export type Action =
  | 'upgrade'
  | 'scale'
  | 'create'
  | 'allowed_cidr_update'
  | 'password_update'
  | 'expand_storage'
  | 'suspend'
  | 'change_compute'
  | 'backup_schedule_update'
  | 'restore_snapshot'
  | 'unknown'

/** The target of webhooks, and their Basic credentials. */
export type WebhookTarget = { url: string; username: string; password: string }

/** Each event, and the one data key that is not null in it. */
const dataKeys = {
  scale: 'scale_data',
  upgrade: 'upgrade_data',
  compute_changed: 'compute_changed_data',
  delay: 'temporary_failure_data',
  info_changed: 'info_data',
  health: 'health_data',
  feedback: 'feedback_data',
  backup_schedule_update: 'backup_schedule_data',
  admin_username_changed: 'admin_username_changed_data',
} as const

/** A webhook as the operator sends it. */
export type Notification = { event: keyof typeof dataKeys; status: WebhookStatus; payload: Record<string, unknown> }

export type Webhooks = {
  /** @param key `namespace/name` of the CrateDB */
  send(key: string, notification: Notification): void
  /** A message about the progress of an operation. */
  feedback(key: string, status: WebhookStatus, operation: 'create' | 'update', action: Action, message: string): void
  stop(): Promise<void>
}

/** Posts the operator's webhooks, subject to the faults. Without a URL, it does nothing. */
export function createWebhooks(webhook: WebhookTarget | undefined, { faults, log }: { faults: Faults; log: Log }): Webhooks {
  const ending = new AbortController()
  const stopped = once(ending.signal, 'abort')
  const inHand = new Set<Promise<void>>()
  let line = Promise.resolve()
  let heldBack: string[] = []

  async function post(body: string): Promise<void> {
    if (!webhook) return
    const { url, username, password } = webhook
    try {
      await Promise.race([faults.punctual(), stopped])
      const { copies = 1 } = faults.ofWebhooks
      for (let copy = 0; copy < copies; copy++) {
        const answer = await fetch(url, {
          method: 'POST',
          headers: {
            authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`,
            'content-type': 'application/json',
            'user-agent': 'cratedb-operator/2.63.0',
          },
          body,
          signal: ending.signal,
        })
        await answer.body?.cancel()
      }
    } catch (error) {
      if (!ending.signal.aborted) log.debug({ err: error }, 'webhook not delivered')
    }
  }

  /** In order, one after the other; late ones do not delay the others. */
  function deliver(body: string): void {
    const { late = false } = faults.ofWebhooks
    const sent = late ? post(body) : line.then(() => post(body))
    if (!late) line = sent
    inHand.add(sent)
    void sent.finally(() => inHand.delete(sent))
  }

  function send(key: string, { event, status, payload }: Notification): void {
    if (!webhook) return
    const [namespace, cluster] = key.split('/')
    const data = Object.fromEntries(Object.values(dataKeys).map((name) => [name, name === dataKeys[event] ? payload : null]))
    const body = JSON.stringify({ event, status, namespace, cluster, ...data })
    const { reverseEvery = 1 } = faults.ofWebhooks
    heldBack.push(body)
    if (heldBack.length < reverseEvery) return
    for (const each of heldBack.reverse()) deliver(each)
    heldBack = []
  }

  return {
    send,
    feedback: (key, status, operation, action, message) =>
      send(key, { event: 'feedback', status, payload: { message, operation, action } }),
    async stop() {
      ending.abort()
      await Promise.all(inHand)
    },
  }
}
