import { type ChildProcess, execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { isIP } from 'node:net'
import { CheckFailure } from './reasons.ts'
import { asError } from './socket.ts'

/** How to send an echo request. */
export type PingOptions = {
  /** The IP address; never a name, so that nobody resolves it once more. */
  address: string
  /** The IP address to send from; by default the system's choice. */
  sourceAddress?: string | undefined
  /** Bytes behind the header of ICMP. */
  payloadBytes: number
  /** Time to live, or hop limit; by default the system's. */
  ttl?: number | undefined
  /** Whether the packet may not be fragmented; needs the ping of iputils. */
  dontFragment: boolean
  signal: AbortSignal
}

/** A reply: its round trip in milliseconds, and the time to live, or hop limit, that it had left. */
export type PingReply = { ms: number; ttl: number }

/** How long ping waits at most; the signal ends it before. */
const longestSeconds = 120

const cure = "Set net.ipv4.ping_group_range, or give the monitor's service the capability CAP_NET_RAW."

/** Where a `ping` is looked for: the folders that only root may write to. PATH is not asked. */
const places = ['/usr/bin/ping', '/bin/ping', '/usr/sbin/ping', '/sbin/ping']

/**
 * The host's `ping`; undefined without one, as in the image of the monitor. Node cannot open a socket for ICMP, and a native library that can
 * needs more privileges than `ping`: it uses the datagram sockets of Linux (net.ipv4.ping_group_range), or has a capability of its own.
 */
export function findPing(candidates: readonly string[] = places): string | undefined {
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/**
 * Sends one echo request with a `ping` of iputils or of busybox, and waits for the reply. There is no shell, and every argument is a number, an
 * IP address or fixed.
 * @returns undefined if no reply came
 * @throws CheckFailure `misconfigured` if this ping cannot do it; the signal's reason
 */
export async function ping(program: string, options: PingOptions): Promise<PingReply | undefined> {
  const { address, sourceAddress, signal } = options
  if (isIP(address) === 0 || (sourceAddress !== undefined && isIP(sourceAddress) === 0))
    throw new CheckFailure('misconfigured', 'The target of a ping must be an IP address.')
  signal.throwIfAborted()
  const started = performance.now()
  const { output, errors } = await run(program, argumentsOf(options), signal)
  const [, ttl, ms, from] = /seq=\d+ ttl=(\d{1,3})(?: time=(\d{1,9}(?:\.\d{1,6})?) ms)?(.*)/.exec(output) ?? []
  // Too small a payload has no room for the time when it left, and ping says none: then its whole run is the round trip.
  if (ttl !== undefined && !from?.includes('DIFFERENT ADDRESS')) return { ms: Number(ms ?? performance.now() - started), ttl: Number(ttl) }
  if (/not permitted|permission denied|cap_net_raw|invalid option|unrecognized option/i.test(errors))
    throw new CheckFailure('misconfigured', `ping may not or cannot send this: ${errors.trim().split('\n')[0]?.slice(0, 200)}. ${cure}`)
  return undefined
}

function argumentsOf({ address, sourceAddress, payloadBytes, ttl, dontFragment }: PingOptions): string[] {
  return [
    isIP(address) === 4 ? '-4' : '-6',
    '-n', // no names in the output; busybox takes it as well
    ...['-c', '1', '-W', String(longestSeconds), '-s', String(payloadBytes)],
    ...(ttl === undefined ? [] : ['-t', String(ttl)]),
    ...(dontFragment ? ['-M', 'do'] : []),
    ...(sourceAddress === undefined ? [] : ['-I', sourceAddress]),
    '--',
    address,
  ]
}

/** The output of ping; whether it ends with an error says the output as well. */
function run(program: string, args: string[], signal: AbortSignal): Promise<{ output: string; errors: string }> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = execFile(
      program,
      args,
      { env: { LC_ALL: 'C' }, maxBuffer: 64 * 1024, killSignal: 'SIGKILL', signal, windowsHide: true },
      (error, output, errors) => {
        if (signal.aborted) return reject(asError(signal.reason))
        if (error !== null && typeof error.code !== 'number')
          return reject(
            new CheckFailure('misconfigured', `${program} cannot be run: ${error.code ?? 'it was ended'}. ${cure}`, { cause: error }),
          )
        resolve({ output, errors })
      },
    )
    child.stdin?.end()
  })
}
