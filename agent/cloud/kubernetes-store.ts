import * as z from 'zod'
import { isProblem, Problem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { unlessGone } from '../../shared/kubernetes/failures.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import type { PrivateKey } from '../../shared/signing/key.ts'
import { annotation, managedBy } from '../resources/labels.ts'
import { readInstallToken } from './install-token.ts'
import { type JoinSecret, type LinkState, type LinkStore, linkState } from './registration/state.ts'
import { linkObjects, type RegistrationStatus } from './registration/status.ts'

const stateKey = 'state.json'

/** The Secret `skerry-join`: the token itself, as somebody puts it there by hand, or what install.sh takes from it. */
const joinData = z.union([
  z.object({ token: z.string() }).transform(({ token }) => readInstallToken(token)),
  z.object({
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    id: z
      .string()
      .regex(/^[\w-]{1,64}$/)
      .optional(),
    pin: z
      .string()
      .regex(/^[\w-]{43}$/)
      .optional(),
  }),
])

/**
 * The store of the link: the Secret of the identity, which is written by its version, and the Registration that everybody may look at.
 * @param mustAct called before each write. @throws Problem as the connection does
 */
export function createKubernetesStore(namespace: string, { cluster, mustAct }: { cluster: Cluster; mustAct: () => void }): LinkStore {
  const secretAt = (name: string) => pathOf(kinds.Secret, namespace, name)
  const registrationAt = pathOf(kinds.Registration, namespace, linkObjects.registration)
  const secretOf = (state: LinkState, version?: string): KubernetesObject => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: linkObjects.identity, namespace, labels: managedBy, ...(version !== undefined && { resourceVersion: version }) },
    data: { [stateKey]: Buffer.from(JSON.stringify(state)).toString('base64') },
  })
  let last: { state: LinkState; version: string } | undefined
  const take = ({ metadata, data }: KubernetesObject): LinkState => {
    const state = readState(textOf(data?.[stateKey]))
    last = { state, version: metadata.resourceVersion ?? '' }
    return state
  }

  /** The object that shows the registration; it is made at the first look. */
  async function registration(): Promise<KubernetesObject> {
    const found = await readObject(cluster, registrationAt)
    if (found) return found
    mustAct()
    const { apiVersion, kind } = kinds.Registration
    const body = { apiVersion, kind, metadata: { name: linkObjects.registration, namespace, labels: managedBy }, spec: { joined: true } }
    return cluster.request<KubernetesObject>({ method: 'POST', path: pathOf(kinds.Registration, namespace), body })
  }

  return {
    async read() {
      last = undefined
      const found = await readObject(cluster, secretAt(linkObjects.identity))
      return found && take(found)
    },
    async create(state) {
      mustAct()
      try {
        await cluster.request({ method: 'POST', path: pathOf(kinds.Secret, namespace), body: secretOf(state) })
      } catch (error) {
        if (!isProblem(error, 'already-exists')) throw error
      }
    },
    async change(edit) {
      if (last === undefined) throw new Problem('conflict', 'The identity of the region has not been read.')
      mustAct()
      const body = secretOf(edit(last.state), last.version)
      return take(await cluster.request({ method: 'PUT', path: secretAt(linkObjects.identity), body }))
    },
    async remove() {
      if (last === undefined) return
      mustAct()
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { resourceVersion: last.version } }
      await unlessGone(cluster.request({ method: 'DELETE', path: secretAt(linkObjects.identity), body }))
      last = undefined
    },
    async joinSecret() {
      const data = (await readObject(cluster, secretAt(linkObjects.join)))?.data
      return data && readJoinSecret(data)
    },
    async wanted() {
      const { metadata, spec } = await registration()
      const askAgain = metadata.annotations?.[annotation.askAgain]
      return { joined: spec?.joined !== false, ...(askAgain !== undefined && { askAgain }) }
    },
    async status() {
      return (await readObject(cluster, registrationAt))?.status as RegistrationStatus | undefined
    },
    async publish(status) {
      mustAct()
      const body = { ...(await registration()), status }
      await cluster.request({ method: 'PUT', path: `${registrationAt}/status`, body })
    },
  }
}

/** The key of the region, from the Secret of its identity; undefined as long as it has none that could be read. @throws Problem as the connection does */
export async function readIdentityKey(cluster: Pick<Cluster, 'request'>, namespace: string): Promise<PrivateKey | undefined> {
  const found = await readObject(cluster, pathOf(kinds.Secret, namespace, linkObjects.identity))
  return linkState.safeParse(jsonOf(textOf(found?.data?.[stateKey]))).data?.key
}

/** @throws Error without a word of the content: the key is in it, and JSON.parse quotes what it does not understand */
function readState(text: string): LinkState {
  const state = linkState.safeParse(jsonOf(text)).data
  if (state) return state
  const secret = linkObjects.identity
  throw new Error(`The Secret ${secret} is damaged. Restore it from a backup, or delete it and give the region a new installation token.`)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function readJoinSecret(data: Record<string, string>): JoinSecret | undefined {
  const texts = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, textOf(value).trim()]))
  const found = joinData.safeParse(texts).data
  const cloudKey = texts['cloud.pem']
  return found && { ...found, ...(cloudKey !== undefined && { cloudKey }) }
}

function textOf(base64: string | undefined): string {
  return Buffer.from(base64 ?? '', 'base64').toString('utf8')
}
