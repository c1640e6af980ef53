/** What blackbox_exporter has and a module here has not, or has in another way. It is told by the report and in the documentation. */
export type Left = {
  /** Where it stands in a module, such as `http.enable_http3`; `prober` with a value for a whole prober, such as `prober: unix`. */
  where: string
  /** What becomes of a module that has it: it is refused, or it works with a difference. */
  effect: 'refused' | 'differs'
  /** What is missing or different, as one or two sentences. */
  what: string
  /** What to do instead, as a sentence; none if there is nothing to do. */
  instead?: string
  /**
   * Whether it concerns a module, which is given as it is written, without empty fields. Left out: if the field of `where` is there.
   */
  concerns?(module: Record<string, unknown>): boolean
}

/** The value at a path of names such as `http.tls_config.ca_ref`; undefined if there is none. */
function valueAt(module: Record<string, unknown>, where: string): unknown {
  let found: unknown = module
  for (const name of where.split('.'))
    found = typeof found === 'object' && found !== null && Object.hasOwn(found, name) ? (found as Record<string, unknown>)[name] : undefined
  return found
}

/** Whether an entry concerns a module. */
export function concerns(left: Left, module: Record<string, unknown>): boolean {
  if (left.concerns !== undefined) return left.concerns(module)
  return left.where.startsWith(`${String(module.prober)}.`) && valueAt(module, left.where) !== undefined
}

/** What is left of every prober, and the probers that there are not. */
export const commonLeft: readonly Left[] = [
  {
    where: 'prober: unix',
    effect: 'refused',
    what: 'Unix sockets are not probed on request: a socket of the host is not in the pod, and a rule of targets names addresses.',
    instead: 'Use a check with socketPath, such as of the kinds docker and haproxy, or let the service listen on loopback.',
    concerns: ({ prober }) => prober === 'unix',
  },
  {
    where: 'prober: websocket',
    effect: 'refused',
    what: 'WebSockets are not probed.',
    instead: 'Probe the address with the prober http and valid_status_codes: [400, 426], which servers answer without an upgrade.',
    concerns: ({ prober }) => prober === 'websocket',
  },
  {
    where: '*_ref',
    effect: 'refused',
    what: 'There is no secret manager whose secrets a field such as password_ref or ca_ref could name.',
    instead: 'Use the field that names a file, such as password_file.',
    concerns: ({ prober, ...sections }) => hasReference(sections[String(prober)]),
  },
]

/** The fields of Prometheus' client configuration that name a secret of a secret manager. */
const references = /^(ca|cert|key|username|password|credentials|client_secret|client_certificate_key)_ref$/

function hasReference(section: unknown): boolean {
  if (typeof section !== 'object' || section === null) return false
  return Object.entries(section).some(([name, value]) => references.test(name) || hasReference(value))
}
