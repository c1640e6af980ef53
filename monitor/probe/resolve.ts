import { lookup } from 'node:dns'
import { isIP } from 'node:net'
import { CheckFailure } from '../wire/reasons.ts'
import type { Access } from './access/index.ts'
import { icmpPort } from './access/rules.ts'
import type { Dialogue } from './dialogue.ts'
import type { IpPreference } from './modules/fields.ts'
import { ProbeRefusal } from './refusal.ts'

/** The address to connect to, and how long the lookup took, in milliseconds. */
export type Resolved = { host: string; port: number; address: string; family: 4 | 6; ms: number }

/** What `createResolver` returns. */
export type Resolver = ReturnType<typeof createResolver>

/** The part of dns.lookup that is used. */
export type Lookup = (
  host: string,
  options: { all: true },
  done: (error: Error | null, found: { address: string; family: number }[]) => void,
) => void

/** Names that would lead to the proxy itself, or to the metadata service of a cloud that it runs in (Google's). */
const namesProxyItself = /(^|\.)(localhost|metadata\.google\.internal)\.?$/i

/** Finds addresses that the rules allow. @param ask the system's resolver, or a test's */
export function createResolver(access: Access, ask: Lookup = lookup) {
  let lingering = 0

  function addressesOf(host: string, signal: AbortSignal): Promise<{ address: string; family: number }[]> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const onAbort = () => {
        lingering++
        reject(signal.reason)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      ask(host, { all: true }, (error, found) => {
        if (signal.aborted) lingering--
        signal.removeEventListener('abort', onAbort)
        if (error === null) resolve(found)
        else reject(new CheckFailure('dns', `${host} does not resolve.`, { cause: error }))
      })
    })
  }

  return {
    /** Abandoned lookups that still run: the system's resolver cannot be stopped. */
    get lingering(): number {
      return lingering
    },
    /**
     * Allows a host that a proxy resolves, so that nobody here can check its addresses.
     * @throws ProbeRefusal `probe-not-allowed`
     */
    allowUnresolved(host: string, port: number): void {
      if (namesProxyItself.test(host) || !access.mayAsk(host, port)) throw refused(host, port)
    },
    /**
     * Resolves a name once. The connection uses this address, so that a second answer of the name server cannot lead elsewhere.
     * @throws ProbeRefusal `probe-not-allowed`; CheckFailure `dns`; the signal's reason
     */
    async resolve(host: string, port: number, preference: IpPreference, signal: AbortSignal): Promise<Resolved> {
      const { preferred_ip_protocol, ip_protocol_fallback } = preference
      const isLiteral = isIP(host) !== 0
      if (!access.mayAsk(host, port)) throw refused(host, port)
      const started = performance.now()
      const found = isLiteral ? [{ address: host, family: isIP(host) }] : await addressesOf(host, signal)
      const preferred = preferred_ip_protocol === 'ip4' ? 4 : 6
      const usable = isLiteral || ip_protocol_fallback ? found : found.filter(({ family }) => family === preferred)
      if (usable.length === 0) throw new CheckFailure('dns', `${host} has no ${preferred_ip_protocol} address.`)
      const inOrder = [...usable.filter(({ family }) => family === preferred), ...usable.filter(({ family }) => family !== preferred)]
      const chosen = inOrder.find(({ address }) => access.mayConnect(host, address, port))
      // The message omits the address, because the caller may not connect to it.
      if (chosen === undefined) throw refused(host, port, ' and its addresses')
      return { host, port, address: chosen.address, family: chosen.family === 4 ? 4 : 6, ms: performance.now() - started }
    },
  }
}

/** Resolves a name as `Resolver.resolve` does, and records it. */
export async function resolveFor(
  { resolver, dialogue, signal }: { resolver: Resolver; dialogue: Dialogue; signal: AbortSignal },
  { host, port }: { host: string; port: number },
  preference: IpPreference,
): Promise<Resolved> {
  const { preferred_ip_protocol, ip_protocol_fallback } = preference
  dialogue.say('Resolving target address', { host, preferred: preferred_ip_protocol, fallback: ip_protocol_fallback })
  const resolved = await resolver.resolve(host, port, preference, signal)
  dialogue.say('Resolved target address', { host, ip: resolved.address, ip_protocol: `ip${resolved.family}`, seconds: resolved.ms / 1000 })
  return resolved
}

function refused(host: string, port: number, also = ''): ProbeRefusal {
  const shown = host.length > 100 ? `${host.slice(0, 100)}…` : host
  const asked = port === icmpPort ? `to ping ${shown}` : `${shown} at port ${port}`
  return new ProbeRefusal('probe-not-allowed', `No rule allows ${asked}${also}.`)
}
