import * as z from 'zod'

/** A host name or an IP address, without a port. */
export const host = z
  .string()
  .regex(
    /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?|[0-9A-Fa-f:.%\w]{2,60})$/,
    'must be a host name or an IP address, without a port',
  )

/** A port number. */
export const port = z.int().min(1).max(65535)

/** `host:port`, with an IPv6 address in brackets. */
export function hostAndPort({ host, port }: { host: string; port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
