import { isIP } from 'node:net'
import { ProbeRefusal } from '../refusal.ts'

/** The target of a probe. `url` is there for HTTP only. */
export type Target = { host: string; port: number; url?: URL }

/**
 * The target of a text `host:port`, in which an IPv6 address stands in brackets.
 * @param usual the port if the text is a host alone, or an IPv6 address without brackets; without it, the text must have a port
 */
export function hostTarget(text: string, usual?: number): Target {
  if (usual !== undefined && isIP(text) === 6) return { host: text, port: usual }
  const [, bracketed, plain, port] = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9_.-]{1,253}))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = bracketed ?? plain
  const number = Number(port ?? usual ?? '')
  if (
    host === undefined ||
    (bracketed !== undefined && isIP(bracketed) !== 6) ||
    (number < 1 && port !== undefined) ||
    number > 65_535 ||
    (port ?? usual) === undefined
  )
    throw new ProbeRefusal('invalid-request', `The target must be host:port${usual === undefined ? '' : ', or a host alone'}.`)
  return { host, port: number }
}
