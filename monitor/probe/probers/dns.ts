import { randomInt } from 'node:crypto'
import { askTcp, askUdp, type DnsAnswer, type DnsRecord, dnsClasses, dnsCodes, dnsTypes, queryOf } from '../../wire/dns/index.ts'
import { secure, tlsOf } from '../../wire/tls.ts'
import type { Dialogue } from '../dialogue.ts'
import { type DnsSettings, dnsSettings, type RecordRules } from '../modules/dns.ts'
import type { Resolved } from '../resolve.ts'
import type { ProbeSeries } from '../series.ts'
import type { ProbeRun, Prober } from './prober.ts'
import { hostTarget } from './target.ts'
import { trustOf } from './tls.ts'

const help = {
  probe_dns_query_succeeded: '1 if an answer arrived.',
  probe_dns_answer_rrs: 'Records in the answer section.',
  probe_dns_authority_rrs: 'Records in the authority section.',
  probe_dns_additional_rrs: 'Records in the additional section.',
}

/** The prober `dns`. */
export const dns: Prober<typeof dnsSettings> = {
  settings: dnsSettings,
  left: [
    {
      where: 'dns.query_type',
      effect: 'differs',
      what: 'Rules see records of the types APL, HIP, IPSECKEY, AMTRELAY and TKEY in the general form of RFC 3597, such as \\# 2 00ff.',
      concerns: ({ dns }) => /^(APL|HIP|IPSECKEY|AMTRELAY|TKEY)$/.test(String((dns as { query_type?: unknown } | undefined)?.query_type)),
    },
  ],
  targetOf: (text, { dns_over_tls }) => hostTarget(text, dns_over_tls ? 853 : 53),
  begin,
  probe,
}

function begin(series: ProbeSeries): void {
  for (const [name, text] of Object.entries(help)) series.set(name, text, 0)
  for (const phase of ['resolve', 'connect', 'request']) setPhase(series, phase, 0)
}

function setPhase(series: ProbeSeries, phase: string, seconds: number): void {
  series.set('probe_dns_duration_seconds', 'Duration of each phase.', seconds, { phase })
}

/** Queries the target, a name server. True if the response code is an expected one, and the records follow the rules. */
async function probe(config: DnsSettings, run: ProbeRun): Promise<boolean> {
  const { reach, series, dialogue } = run
  const set = (name: keyof typeof help, value: number) => series.set(name, help[name], value)
  const target = await reach(config)
  setPhase(series, 'resolve', target.ms / 1000)
  const { code, answer, authority, additional } = await ask(config, target, run)
  set('probe_dns_query_succeeded', 1)
  set('probe_dns_answer_rrs', answer.length)
  set('probe_dns_authority_rrs', authority.length)
  set('probe_dns_additional_rrs', additional.length)
  if (config.query_type === 'SOA') {
    const serial = answer.findLast((record) => record.serial !== undefined)?.serial ?? 0
    series.set('probe_dns_serial', 'Serial number of the zone.', serial)
  }
  const rcode = Object.entries(dnsCodes).find(([, number]) => number === code)?.[0] ?? code
  dialogue.say('Got response', { rcode, answer_rrs: answer.length, authority_rrs: authority.length, additional_rrs: additional.length })
  if (!config.valid_rcodes.some((name) => dnsCodes[name] === code)) {
    dialogue.fail('Rcode is not one of the valid rcodes', { rcode, valid_rcodes: config.valid_rcodes.join(' ') })
    return false
  }
  dialogue.say('Rcode is valid', { rcode })
  return (
    (await follow('Answer', config.validate_answer_rrs, answer, run)) &&
    (await follow('Authority', config.validate_authority_rrs, authority, run)) &&
    (await follow('Additional', config.validate_additional_rrs, additional, run))
  )
}

/** Sends the query. The phases are set however it ends, as in blackbox_exporter. TLS is a part of the connection. */
async function ask(config: DnsSettings, target: Resolved, { series, signal, dialogue }: ProbeRun): Promise<DnsAnswer> {
  const { query_name: name, query_type: type, query_class, recursion_desired: recursionDesired, tls_config } = config
  const { address, port } = target
  const protocol = `${config.transport_protocol}${config.dns_over_tls ? '-tls' : ''}`
  dialogue.say('Making DNS query', { ip: address, port, protocol, query: name, type, class: query_class })
  const query = queryOf({ id: randomInt(65_536), name, type: dnsTypes[type], class: dnsClasses[query_class], recursionDesired })
  const started = performance.now()
  let connected: number | undefined
  try {
    return await (config.transport_protocol === 'udp' ? askUdp : askTcp)(query, {
      address,
      port,
      localAddress: config.source_ip_address,
      ...(config.dns_over_tls && {
        secure: (tcp) => secure(tcp, tlsOf(trustOf(tls_config), target.host), tls_config.server_name ?? target.host),
      }),
      onConnected: () => {
        connected = performance.now()
      },
      signal,
    })
  } finally {
    const ended = performance.now()
    setPhase(series, 'connect', ((connected ?? ended) - started) / 1000)
    setPhase(series, 'request', (ended - (connected ?? ended)) / 1000)
  }
}

/** Whether the records of a section follow its rules. What the rules mean is what blackbox_exporter does, not what their names say. */
async function follow(section: string, rules: RecordRules, records: readonly DnsRecord[], run: ProbeRun): Promise<boolean> {
  run.dialogue.say(`Validating ${section} RRs`)
  const fault = await faultOf(rules, records, run)
  if (fault !== undefined) run.dialogue.fail(`${section} RRs validation failed`, fault)
  return fault === undefined
}

type Fault = { rule: keyof RecordRules; regexp?: string; rr?: string }

async function faultOf(
  rules: RecordRules,
  records: readonly DnsRecord[],
  { signal, dialogue }: { signal: AbortSignal; dialogue: Dialogue },
): Promise<Fault | undefined> {
  for (const rule of ['fail_if_not_matches_regexp', 'fail_if_none_matches_regexp'] as const)
    if (records.length === 0 && rules[rule].length > 0) return { rule }
  let anyMatches = false
  for (const { text: rr } of records) {
    dialogue.say('Validating RR', { rr })
    const line = Buffer.from(rr, 'latin1')
    for (const [rule, fault] of [
      ['fail_if_matches_regexp', true],
      ['fail_if_all_match_regexp', false],
      ['fail_if_not_matches_regexp', false],
    ] as const)
      for (const expression of rules[rule])
        if ((await expression.test(line, signal)) === fault) return { rule, regexp: expression.source, rr }
    for (const expression of rules.fail_if_none_matches_regexp) anyMatches ||= await expression.test(line, signal)
  }
  return rules.fail_if_none_matches_regexp.length > 0 && !anyMatches ? { rule: 'fail_if_none_matches_regexp' } : undefined
}
