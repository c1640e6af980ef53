import * as z from 'zod'
import { wrongType } from './wording.ts'

/**
 * Settings of CrateDB that a database may have, by the prefixes of their names.
 *
 * The operator turns each setting into a launcher argument `-C<key>=<value>`, which a shell in the container evaluates, and the last
 * argument takes precedence. A key could turn off authentication, and a value could run a command. So this is a list of allowed settings, not
 * of forbidden ones. It deliberately omits settings that the operator controls (names, discovery, paths, ports, TLS, authentication,
 * processors, the number of nodes to wait for), settings that open files or hosts to SQL (`repositories.`, `foreign_data_wrapper.`,
 * `http.cors.`), and scripting (`lang.`).
 */
const allowedPrefixes = [
  'bulk.',
  'cluster.graceful_stop.',
  'cluster.info.update.interval',
  'cluster.max_shards_per_node',
  'cluster.routing.allocation.',
  'cluster.routing.rebalance.',
  'http.max_',
  'indices.breaker.',
  'indices.recovery.',
  'indices.replication.',
  'indices.memory.',
  'indices.query.',
  'jobs_log.',
  'logger.',
  'memory.',
  'overload_protection.',
  'replication.',
  'statement_max_length',
  'statement_timeout',
  'stats.',
  'thread_pool.',
  'udc.enabled',
]
const keyForm = /^[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)*$/
const valueForm = /^-?[A-Za-z0-9][A-Za-z0-9._%:,+-]*$/

// These match an allowed prefix but belong to the operator, which excludes nodes while it scales and restricts allocation while it restarts.
const refusedPrefixes = ['cluster.routing.allocation.enable', 'cluster.routing.allocation.exclude.', 'stats.enabled']

function keyFault(key: string): string | undefined {
  if (key.length > 128 || !keyForm.test(key)) return 'is not the name of a setting of CrateDB'
  const begins = (prefix: string) => (prefix.endsWith('.') || prefix.endsWith('_') ? key.startsWith(prefix) : key === prefix)
  if (refusedPrefixes.some(begins)) return 'is set by the Crate Operator and cannot be given here'
  if (!allowedPrefixes.some(begins))
    return `is not among the settings that may be given here: ${allowedPrefixes.map((prefix) => (/[._]$/.test(prefix) ? `${prefix}*` : prefix)).join(', ')}`
  return undefined
}

/** CrateDB's settings from the allow-list, with values of letters, digits and a few signs; numbers and booleans become text. */
export const settings = z
  .record(z.string(), z.union([z.string(), z.number(), z.boolean()], wrongType('must be text, a number, true or false')))
  .superRefine((given, context) => {
    if (Object.keys(given).length > 64) context.addIssue('must have at most 64 entries')
    for (const [key, value] of Object.entries(given)) {
      const text = String(value)
      const message =
        keyFault(key) ??
        (text.length <= 128 && valueForm.test(text)
          ? undefined
          : 'must be at most 128 letters, digits and . _ % : , + -, and begin with a letter, a digit or -')
      if (message !== undefined) context.addIssue({ code: 'custom', path: [key], message })
    }
  })
  .transform((given): Record<string, string> => Object.fromEntries(Object.entries(given).map(([key, value]) => [key, String(value)])))
  .pipe(z.record(z.string(), z.string()))
