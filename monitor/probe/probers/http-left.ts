import type { Left } from '../modules/left.ts'

/** What of blackbox_exporter's prober http there is not, or is in another way. */
export const httpLeft: readonly Left[] = [
  {
    where: 'http.enable_http3',
    effect: 'refused',
    what: 'HTTP/3 is not spoken.',
    instead: 'Leave enable_http3 out to probe with HTTP/2.',
    concerns: isOn('enable_http3'),
  },
  ...['proxy_url', 'proxy_from_environment', 'proxy_connect_header', 'no_proxy'].map(
    (field): Left => ({
      where: `http.${field}`,
      effect: 'refused',
      what: 'Probes go to their targets without a proxy.',
      instead: 'Run a monitor where the target can be reached, or let the check http of another monitor probe it.',
      ...(field === 'proxy_from_environment' && { concerns: isOn(field) }),
    }),
  ),
  {
    where: 'http.oauth2',
    effect: 'refused',
    what: 'No token is requested from an OAuth 2 server.',
    instead: 'Let something else write the token to a file, and name it in authorization.credentials_file.',
  },
  {
    where: 'http.fail_if_body_…',
    effect: 'differs',
    what: 'A body that is searched may have 4 MiB without body_size_limit, and 16 MiB with it; JSON for CEL 256 KiB. A longer one fails the probe.',
    concerns: ({ prober, http }) =>
      prober === 'http' && Object.keys((http as object | undefined) ?? {}).some((name) => name.startsWith('fail_if_body_')),
  },
  {
    where: 'http.fail_if_body_json_…_cel',
    effect: 'differs',
    what: 'An expression of CEL may have three loops (all, exists, map, filter), and none inside another.',
    concerns: ({ prober, http }) =>
      prober === 'http' && Object.keys((http as object | undefined) ?? {}).some((name) => name.endsWith('_cel')),
  },
]

/** Whether a field that is a boolean is on. */
function isOn(field: string): (module: Record<string, unknown>) => boolean {
  return ({ prober, http }) => {
    const value = (http as Record<string, unknown> | undefined)?.[field]
    return prober === 'http' && value !== undefined && value !== false && !/^(n|N|no|off)$/.test(String(value))
  }
}
