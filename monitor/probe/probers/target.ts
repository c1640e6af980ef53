import { isIP } from 'node:net'
import { ProbeRefusal } from '../refusal.ts'

/** The target of a probe. `url` is there for HTTP only. */
export type Target = { host: string; port: number; url?: URL }

/** The target of a text `host:port`. @param usual the port if the text has none; without it, the text must have one */
export function hostTarget(text: string, usual?: number): Target {
  const [, bracketed, plain, port = usual ?? ''] = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9_.-]{1,253}))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = bracketed ?? plain
  const number = Number(port)
  if (host === undefined || (bracketed !== undefined && isIP(bracketed) !== 6) || number < 1 || number > 65_535)
    throw new ProbeRefusal('invalid-request', `The target must be host:port${usual === undefined ? '' : ', or a host alone'}.`)
  return { host, port: number }
}
