import { setTimeout as sleep } from 'node:timers/promises'
import type { RegistrationStatus } from '../../agent/cloud/registration/status.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import { doorForPeople } from '../cloud/people.ts'
import { serveCloud } from '../cloud/serve.ts'
import type { Display } from './display.ts'
import { type Heard, heardOf } from './heard.ts'

/** The cloud that the region joins: the small one of test/cloud, and what its people do and see. */
export type Cloud = {
  /** `https://127.0.0.1:PORT` */
  url: string
  /** PEM of the authority of its certificate. */
  ca: string
  /** All that it has answered. */
  heard: readonly Heard[]
  /** Somebody types a pairing code at the cloud. @throws Error if no region shows it */
  type(code: string): void
  close(): Promise<void>
}

/** Serves a cloud that knows no region. `onHeard` gets each request once it is answered. */
export async function startCloud(onHeard: (heard: Heard) => void): Promise<Cloud> {
  const heard: Heard[] = []
  const { cloud, origin, ca, close } = await serveCloud(Date.now, (cloud) => {
    const people = doorForPeople(cloud)
    return async (request) => {
      const answer = await people(request)
      if (answer) return answer
      const copy = request.clone()
      const answered = await cloud.app.fetch(request)
      const one = heardOf(request, Buffer.from(await copy.arrayBuffer()), answered.status)
      heard.push(one)
      onHeard(one)
      return answered
    }
  })
  return { url: origin, ca, heard, type: (code) => void cloud.registry.typed(code), close }
}

const joinedWithinMs = 60_000

/**
 * The region joins before the eyes of whoever looks: it shows a code, somebody types that at the cloud, and the cloud hears the whole status.
 * @throws Error with what the region says, if it has not joined after a minute, or tells nothing in the next; the signal's reason when that aborts
 */
export async function join(
  cloud: Cloud,
  region: { admin: Cluster; namespace: string },
  display: Display,
  signal: AbortSignal,
): Promise<void> {
  const when = (what: string, is: (status: RegistrationStatus) => boolean) => whenStatus({ cloud, region, what, is, signal })
  const { pairing } = await when('shows no pairing code', ({ pairing }) => pairing !== undefined)
  const code = pairing?.code ?? ''
  display.line(`The region shows the pairing code ${code}, as kubectl get registrations does. Somebody types it at the cloud.`)
  const typed = performance.now()
  cloud.type(code)
  const { id } = await when('has not joined', ({ state }) => state === 'Ready')
  display.line(`✔ The region is registered as ${id}, ${((performance.now() - typed) / 1000).toFixed(1)} s later`)
  const heardBy = performance.now() + joinedWithinMs
  while (!cloud.heard.some(({ kind, status }) => kind === 'status' && status === 200)) {
    if (performance.now() > heardBy) throw new Error(`The cloud has heard no status ${joinedWithinMs / 1000} s after the region has joined`)
    await sleep(20, undefined, { signal })
  }
}

type Awaited = {
  cloud: Cloud
  region: { admin: Cluster; namespace: string }
  what: string
  is: (status: RegistrationStatus) => boolean
  signal: AbortSignal
}

/** The status of the registration at this cloud: a cluster that was given may have that of another cloud, of an earlier start. */
async function whenStatus({ cloud, region, what, is, signal }: Awaited): Promise<RegistrationStatus> {
  for (const deadline = performance.now() + joinedWithinMs; ; await sleep(50, undefined, { signal })) {
    const found = await readObject(region.admin, pathOf(kinds.Registration, region.namespace, 'cloud'))
    const status = found?.status as RegistrationStatus | undefined
    if (status?.cloud === cloud.url && is(status)) return status
    if (performance.now() < deadline) continue
    const says = status ? `it is ${status.state}: ${status.message}` : 'there is no registration.'
    throw new Error(`The region ${what} after ${joinedWithinMs / 1000} s; ${says}`)
  }
}
