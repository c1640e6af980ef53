import { isIP, type Socket } from 'node:net'
import { type TLSSocket, connect as tlsConnect } from 'node:tls'
import { type TlsOptions, tlsOf } from '../../wire/http-access.ts'
import type { ProbeTls } from './config.ts'

const translated = new WeakMap<ProbeTls, TlsOptions>()

/** A module's `tls_config` as TLS options. It is always the same object, because a secure context belongs to an object. */
export function trustOf(config: ProbeTls): TlsOptions {
  let options = translated.get(config)
  if (options === undefined) {
    options = {
      caFile: config.ca_file,
      certificateFile: config.cert_file,
      keyFile: config.key_file,
      serverName: config.server_name,
      verify: !config.insecure_skip_verify,
    }
    translated.set(config, options)
  }
  return options
}

/** Starts TLS on a connection. The certificate is verified for the module's server name, or else for the host. */
export function secure(socket: Socket, config: ProbeTls, host: string): Promise<TLSSocket> {
  const { secureContext, servername = host, verify } = tlsOf(trustOf(config))
  return new Promise((resolve, reject) => {
    const tls = tlsConnect({
      socket,
      host: servername,
      ...(secureContext && { secureContext }),
      rejectUnauthorized: verify !== false,
      ...(isIP(servername) === 0 && { servername }),
    })
    tls.on('error', reject) // the listener stays: an error after the handshake must not end the process
    tls.once('secureConnect', () => resolve(tls))
    socket.once('close', () => reject(socket.errored ?? new Error('the connection was closed during the handshake')))
  })
}
