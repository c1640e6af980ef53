import type { Clock } from '../clock.ts'
import { isProblem } from '../errors.ts'
import { applyObject } from '../kubernetes/apply.ts'
import type { Cluster } from '../kubernetes/connection.ts'
import { kinds, pathOf } from '../kubernetes/objects.ts'
import { readObject } from '../kubernetes/read.ts'
import { accountText, addAccounts, readAccount } from './account.ts'
import type { AccountStore } from './meter.ts'

type ClusterAccountConfig = {
  namespace: string
  /** Of the ConfigMap, and of its key. */
  name: string
  key: string
  labels: Record<string, string>
  fieldManager: string
}

/** Replicas that write at the same moment. */
const attempts = 10

/**
 * Keeps the account in a key of a ConfigMap, to which each replica adds what it has counted. It is written by its version, so that no replica
 * overwrites what another one has added. If the answer to a write is lost, its bytes are added twice: rather too much than too little.
 */
export function createClusterAccount(config: ClusterAccountConfig, { cluster, clock }: { cluster: Cluster; clock: Clock }): AccountStore {
  const { namespace, name, key, labels, fieldManager } = config
  const path = pathOf(kinds.ConfigMap, namespace, name)

  async function read() {
    const found = await readObject(cluster, path)
    return { resourceVersion: found?.metadata.resourceVersion, text: found?.data?.[key] as string | undefined }
  }

  async function attempt(news: Parameters<AccountStore['add']>[0]) {
    const { resourceVersion, text } = await read()
    const account = addAccounts(readAccount(text), news)
    const metadata = { name, namespace, labels, ...(resourceVersion !== undefined && { resourceVersion }) }
    const data = { [key]: accountText(account) }
    await applyObject(cluster, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data }, { fieldManager, force: true })
    return account
  }

  return {
    read: async () => readAccount((await read()).text),
    async add(news) {
      for (let tries = 1; ; tries++) {
        try {
          return await attempt(news)
        } catch (error) {
          if (!isProblem(error, 'conflict') || tries === attempts) throw error
          await clock.sleep(20 * tries)
        }
      }
    },
  }
}
