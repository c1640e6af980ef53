import { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import * as z from 'zod'
import { port } from '../wire/fields.ts'
import { count, shorten, someOf } from '../wire/wording.ts'
import { checkKind } from './kind.ts'

const options = z.strictObject({
  query: z.string().min(1).max(253).describe('Name to resolve.'),
  type: z.enum(['A', 'AAAA', 'CAA', 'CNAME', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'TXT']).default('A').describe('Type of the records.'),
  server: z
    .string()
    .refine((text) => isIP(text) !== 0, { error: 'must be an IP address' })
    .optional()
    .describe('IP address of the name server to ask; by default the name servers of this machine.'),
  port: port.default(53).describe("The name server's port."),
  expect: z
    .array(z.string().min(1))
    .default([])
    .describe('Values that must be among the answers, with fields in the order of a zone file: `10 mail.example.com` for MX.'),
  minAnswers: z.int().min(1).default(1).describe('Down when there are fewer answers.'),
})

/** Up when the name server answers with the expected records. The hosts file is not consulted. */
export const dns = checkKind({
  about: 'Asks a name server for records. Down when no answer comes, the name does not exist, or an expected value is missing.',
  example: { query: 'shop.example.com', type: 'A', server: '10.96.0.10', expect: ['192.0.2.10'] },
  options,
  measures: {
    skerry_dns_answers: { type: 'gauge', help: 'Records in the answer.' },
    skerry_dns_query_seconds: { type: 'gauge', help: 'Time until the answer.' },
  },
  target: ({ query, server }) => (server === undefined ? query : `${query}@${server}`),
  async check({ query, type, server, port, expect, minAnswers }, { signal }) {
    signal.throwIfAborted()
    const resolver = new Resolver({ timeout: 2000, tries: 3 })
    if (server !== undefined) resolver.setServers([`${isIP(server) === 6 ? `[${server}]` : server}:${port}`])
    const onAbort = () => resolver.cancel()
    signal.addEventListener('abort', onAbort, { once: true })
    const started = performance.now()
    try {
      const values = (await records(resolver, query, type)).map(textOf)
      const measurements = [
        { name: 'skerry_dns_answers', value: values.length },
        { name: 'skerry_dns_query_seconds', value: (performance.now() - started) / 1000 },
      ]
      const lacking = expect.filter((wanted) => !values.includes(wanted))
      if (lacking.length > 0)
        return {
          state: 'down',
          reason: 'unexpected_answer',
          detail: `${someOf(lacking)} is not among the answers (${someOf(values)}). Correct the zone, or expect.`,
          measurements,
        }
      if (values.length < minAnswers)
        return {
          state: 'down',
          reason: 'unexpected_answer',
          detail: `${count(values.length, 'answer')}, but at least ${minAnswers} expected. See the zone.`,
          measurements,
        }
      return { state: 'up', detail: `${count(values.length, 'answer')}: ${someOf(values)}.`, measurements }
    } catch (error) {
      signal.throwIfAborted()
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  },
})

async function records(resolver: Resolver, name: string, type: string): Promise<unknown[]> {
  const found: unknown = await resolver.resolve(name, type as 'A')
  return Array.isArray(found) ? found : [found] // SOA is one record
}

/** A record as one text, with its fields in the order of a zone file. */
function textOf(record: unknown): string {
  if (typeof record === 'string') return record
  if (Array.isArray(record)) return shorten(record.join(''), 1000) // TXT comes in pieces
  return shorten(fieldsOf(record as Record<string, unknown>).join(' '), 1000)
}

function fieldsOf(record: Record<string, unknown>): unknown[] {
  const { type: _, ...fields } = record // some versions of Node add the type
  const { critical, priority, weight, port, name, exchange, ...others } = fields
  if (critical !== undefined) return [critical, ...Object.entries(others).flat()] // CAA: its tag is the name of the field
  if (exchange !== undefined) return [priority, exchange] // MX
  if (weight !== undefined) return [priority, weight, port, name] // SRV
  return Object.values(fields) // SOA comes in that order
}
