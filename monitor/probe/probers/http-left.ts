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
  {
    where: 'http.proxy_url: socks5://…',
    effect: 'refused',
    what: 'Proxies of SOCKS are not used.',
    instead: 'Name a proxy with http:// or https://.',
    concerns: ({ prober, http }) => prober === 'http' && /^socks/i.test(String((http as Record<string, unknown> | undefined)?.proxy_url)),
  },
  {
    where: 'http.proxy_…',
    effect: 'differs',
    what:
      'A rule must allow the proxy, and whatever it is asked for. The certificate of a proxy is verified for its own name. ' +
      'Names of no_proxy hold for targets that are resolved, too; redirects are resolved here without skip_resolve_phase_with_proxy.',
    concerns: (module) => {
      const { prober, http } = module as { prober?: unknown; http?: Record<string, unknown> }
      return (prober === 'http' && Boolean(http?.proxy_url)) || isOn('proxy_from_environment')(module)
    },
  },
  ...['proxy_url', 'proxy_from_environment', 'proxy_connect_header', 'no_proxy'].map(
    (field): Left => ({
      where: `http.oauth2.${field}`,
      effect: 'refused',
      what: 'A token is requested without a proxy.',
      instead: 'Let something else write the token to a file, and name it in authorization.credentials_file.',
      ...(field === 'proxy_from_environment' && { concerns: isOn('proxy_from_environment', 'oauth2') }),
    }),
  ),
  {
    where: 'http.oauth2.grant_type: …jwt-bearer',
    effect: 'refused',
    what: 'A token is requested with client_credentials only.',
    instead: 'Let something else write the token to a file, and name it in authorization.credentials_file.',
    concerns: ({ prober, http }) => prober === 'http' && /jwt-bearer$/.test(String(inside(inside(http, 'oauth2'), 'grant_type'))),
  },
  {
    where: 'http.oauth2',
    effect: 'differs',
    what:
      'A rule must allow token_url, and a redirect of it is not followed. A token is kept until it expires, for an hour at most, ' +
      'or until the target answers with 401; blackbox_exporter requests one for each probe.',
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

/** Whether a field that is a boolean is on, of the section or of one in it. */
function isOn(field: string, section?: string): (module: Record<string, unknown>) => boolean {
  return ({ prober, http }) => {
    const value = inside(section === undefined ? http : inside(http, section), field)
    return prober === 'http' && value !== undefined && value !== false && !/^(n|N|no|off)$/.test(String(value))
  }
}

function inside(section: unknown, field: string): unknown {
  return (section as Record<string, unknown> | undefined)?.[field]
}
