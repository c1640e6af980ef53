/** What etcd held at one moment: values by their keys, both in base64, with the revision that wrote them. */
export type Snapshot = Map<string, { value: string; revision: string }>

type KeyValue = { key: string; value?: string; mod_revision: string }

/** Everything that an API server keeps. */
const everything = { key: inBase64('/registry/'), range_end: inBase64('/registry0') }
/** As many operations as etcd takes in one transaction. */
const operationsAtOnce = 100

/** @param url of etcd, whose gateway answers JSON over HTTP */
export async function readSnapshot(url: string): Promise<Snapshot> {
  const { kvs = [] } = await ask<{ kvs?: KeyValue[] }>(url, 'range', everything)
  return new Map(kvs.map(({ key, value = '', mod_revision: revision }) => [key, { value, revision }]))
}

/**
 * Makes etcd hold what it held then: API servers see it as deletions and updates. No finalizer is asked.
 *
 * @param snapshot whose revisions are brought up to date
 * @returns the keys that were not as then, such as `/registry/pods/harbour/tide`
 */
export async function bringBack(url: string, snapshot: Snapshot): Promise<string[]> {
  const { kvs = [] } = await ask<{ kvs?: KeyValue[] }>(url, 'range', { ...everything, keys_only: true })
  const now = new Map(kvs.map(({ key, mod_revision: revision }) => [key, revision]))
  const added = [...now.keys()].filter((key) => !snapshot.has(key))
  const changed = [...snapshot].filter(([key, { revision }]) => now.get(key) !== revision)
  const operations = [
    ...added.map((key) => ({ request_delete_range: { key } })),
    ...changed.map(([key, { value }]) => ({ request_put: { key, value } })),
  ]
  for (let at = 0; at < operations.length; at += operationsAtOnce) {
    await ask(url, 'txn', { success: operations.slice(at, at + operationsAtOnce) })
  }
  if (changed.length > 0) for (const [key, put] of await readSnapshot(url)) if (snapshot.has(key)) snapshot.set(key, put)
  return [...added, ...changed.map(([key]) => key)].map((key) => Buffer.from(key, 'base64').toString())
}

async function ask<T>(url: string, method: 'range' | 'txn', body: unknown): Promise<T> {
  const answer = await fetch(`${url}/v3/kv/${method}`, { method: 'POST', body: JSON.stringify(body) })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`etcd, ${method}: ${text}`)
  return JSON.parse(text)
}

function inBase64(text: string): string {
  return Buffer.from(text).toString('base64')
}
