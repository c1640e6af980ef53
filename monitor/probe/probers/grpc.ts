import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { GrpcHealth } from '../../wire/grpc-health.ts'
import { CheckFailure, messageOf } from '../../wire/reasons.ts'
import { openSocket } from '../../wire/socket.ts'
import { secure, tlsOf } from '../../wire/tls.ts'
import { type GrpcSettings, grpcSettings } from '../modules/grpc.ts'
import type { Resolved } from '../resolve.ts'
import { close, type ProbeSeries, setTls } from '../series.ts'
import type { ProbeRun, Prober } from './prober.ts'
import { hostTarget, type Target } from './target.ts'
import { trustOf } from './tls.ts'

/** The prober `grpc`, as in blackbox_exporter since 0.24. */
export const grpc: Prober<typeof grpcSettings> = { settings: grpcSettings, left: [], targetOf, begin, probe }

const help = { probe_grpc_ssl: '1 if the answer came over TLS.', probe_grpc_status_code: 'gRPC status of the call; 0 is OK.' }

/** The host and the port of an address. Its scheme and its path do not matter. */
function targetOf(text: string, { tls }: GrpcSettings): Target {
  return hostTarget(text.replace(/^https?:\/\//, '').replace(/[/?#].*$/s, ''), tls ? 443 : 80)
}

function begin(series: ProbeSeries): void {
  for (const [name, text] of Object.entries(help)) series.set(name, text, 0)
  setPhase(series, 'resolve', 0)
}

function setPhase(series: ProbeSeries, phase: string, seconds: number): void {
  series.set('probe_grpc_duration_seconds', 'Duration of each phase.', seconds, { phase })
}

/** Asks for the health of a service. True if it serves. */
async function probe(config: GrpcSettings, run: ProbeRun): Promise<boolean> {
  const { reach, series, dialogue } = run
  const target = await reach(config)
  setPhase(series, 'resolve', target.ms / 1000)
  // Loaded when it is first needed: few monitors speak HTTP/2.
  const { servingStatuses } = await import('../../wire/grpc-health.ts')
  const started = performance.now()
  const { code, serving, detail } = await ask(config, target, run)
  setPhase(series, 'check', (performance.now() - started) / 1000)
  series.set('probe_grpc_status_code', help.probe_grpc_status_code, code)
  for (const status of servingStatuses)
    series.set('probe_grpc_healthcheck_response', 'What the server says of the service.', status === serving ? 1 : 0, {
      serving_status: status,
    })
  if (serving === 'SERVING') dialogue.say('connect the grpc server successfully')
  else dialogue.fail("can't connect grpc server:", { code, detail })
  return serving === 'SERVING'
}

async function ask(config: GrpcSettings, target: Resolved, { series, signal, dialogue }: ProbeRun): Promise<GrpcHealth> {
  const { askHealth, grpcCodes } = await import('../../wire/grpc-health.ts')
  let tcp: Socket | undefined
  try {
    dialogue.say(`Dialing GRPC ${config.tls ? 'with' : 'without'} TLS`, { ip: target.address, port: target.port })
    tcp = await openSocket({ host: target.address, port: target.port }, signal)
    const tls = config.tls ? await startTls(tcp, config, target) : undefined
    const health = await askHealth(tls ?? tcp, {
      authority: `${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`,
      secure: config.tls,
      service: config.service,
      metadata: config.metadata,
      signal,
    })
    // As in blackbox_exporter, an answer with another code than OK says nothing about TLS.
    if (tls !== undefined && health.code === 0) describe(tls, series)
    return health
  } catch (error) {
    // The code that a client sets for a connection that does not open, or for a call that takes too long.
    return { code: signal.aborted ? grpcCodes.deadlineExceeded : grpcCodes.unavailable, detail: messageOf(error) }
  } finally {
    close(tcp)
  }
}

async function startTls(tcp: Socket, { tls_config }: GrpcSettings, target: Resolved): Promise<TLSSocket> {
  const settings = { ...tlsOf(trustOf(tls_config), target.host), ALPNProtocols: ['h2'] }
  const tls = await secure(tcp, settings, tls_config.server_name ?? target.host)
  // As in grpc-go since 1.67, a server that does not choose HTTP/2 by name does not speak gRPC.
  if (tls.alpnProtocol !== 'h2') throw new CheckFailure('protocol', 'The server does not choose h2 by ALPN. Is this a gRPC port?')
  return tls
}

function describe(tls: TLSSocket, series: ProbeSeries): void {
  series.set('probe_grpc_ssl', help.probe_grpc_ssl, 1)
  setTls(series, tls)
}
