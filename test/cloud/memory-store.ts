import type { JoinSecret, LinkState, LinkStore, Wanted } from '../../agent/cloud/registration/state.ts'
import type { RegistrationStatus } from '../../agent/cloud/registration/status.ts'

/** What a cluster keeps of the link, in memory. Two stores over one such content are two replicas. */
export type Content = { state?: LinkState; version: number; status?: RegistrationStatus; join?: JoinSecret; wanted: Wanted }

export function memoryStore(content: Content): LinkStore {
  let version: number | undefined
  return {
    async read() {
      version = content.version
      return content.state
    },
    async create(state) {
      content.state ??= state
    },
    async change(edit) {
      if (version !== content.version || content.state === undefined) throw new Error('conflict')
      content.state = structuredClone(edit(content.state))
      version = ++content.version
      return content.state
    },
    async remove() {
      if (version !== content.version) throw new Error('conflict')
      delete content.state
    },
    joinSecret: async () => content.join,
    wanted: async () => content.wanted,
    status: async () => content.status,
    async publish(status) {
      content.status = status
    },
  }
}
