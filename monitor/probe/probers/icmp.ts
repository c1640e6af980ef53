import { findPing, ping } from '../../wire/ping.ts'
import { icmpPort } from '../access/rules.ts'
import { type IcmpSettings, icmpSettings } from '../modules/icmp.ts'
import { ProbeRefusal } from '../refusal.ts'
import type { ProbeSeries } from '../series.ts'
import type { ProbeRun, Prober } from './prober.ts'
import { hostTarget, type Target } from './target.ts'

/** As many bytes as blackbox_exporter sends: its name. */
const usualPayloadBytes = 28

/** The prober `icmp`. */
export const icmp: Prober<typeof icmpSettings> = {
  settings: icmpSettings,
  left: [
    {
      where: 'prober: icmp',
      effect: 'differs',
      what: 'The ping program of the host sends the echo request, so the phase setup is the time that the program takes.',
      concerns: ({ prober }) => prober === 'icmp' && findPing() !== undefined,
    },
    {
      where: 'prober: icmp, without ping',
      effect: 'refused',
      what: 'It needs the ping program of iputils or busybox in /usr/bin, /bin, /usr/sbin or /sbin. The image of the monitor has none.',
      instead: 'Run a monitor on a host for it, or probe a TCP port.',
      concerns: ({ prober }) => prober === 'icmp' && findPing() === undefined,
    },
  ],
  targetOf,
  begin: (series) => {
    for (const phase of ['resolve', 'setup', 'rtt']) setPhase(series, phase, 0)
  },
  probe,
}

function targetOf(text: string): Target {
  const target = hostTarget(text, icmpPort)
  if (target.port !== icmpPort) throw new ProbeRefusal('invalid-request', 'The target must be a host or an IP address, without a port.')
  return target
}

function setPhase(series: ProbeSeries, phase: string, seconds: number): void {
  series.set('probe_icmp_duration_seconds', 'Duration of each phase.', seconds, { phase })
}

/** Sends one echo request by the ping of the host. True if the reply comes. */
async function probe(config: IcmpSettings, { reach, series, signal, dialogue }: ProbeRun): Promise<boolean> {
  const program = findPing()
  if (program === undefined)
    throw new ProbeRefusal('module-refused', 'An ICMP probe needs the ping program of iputils or busybox, and this system has none.')
  const target = await reach(config)
  setPhase(series, 'resolve', target.ms / 1000)
  const started = performance.now()
  dialogue.say('Writing out packet', { ip: target.address, program })
  const reply = await ping(program, {
    address: target.address,
    sourceAddress: config.source_ip_address,
    payloadBytes: config.payload_size || usualPayloadBytes,
    ttl: config.ttl || undefined,
    // As in blackbox_exporter, the field is for IPv4: no router fragments IPv6.
    dontFragment: config.dont_fragment && target.family === 4,
    signal,
  })
  if (reply === undefined) {
    dialogue.fail('No reply arrived', { ip: target.address })
    return false
  }
  dialogue.say('Found matching reply packet', { ms: reply.ms, hop_limit: reply.ttl })
  setPhase(series, 'setup', Math.max(0, performance.now() - started - reply.ms) / 1000)
  setPhase(series, 'rtt', reply.ms / 1000)
  series.set('probe_icmp_reply_hop_limit', 'Hop limit, or time to live, that the reply had left.', reply.ttl)
  return true
}
