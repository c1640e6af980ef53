import type { TlsOptions } from '../../wire/tls.ts'
import type { ProbeTls } from '../modules/fields.ts'

/** The versions of TLS by their names in Prometheus' configuration. */
const versions = { TLS10: 'TLSv1', TLS11: 'TLSv1.1', TLS12: 'TLSv1.2', TLS13: 'TLSv1.3' } as const

const translated = new WeakMap<ProbeTls, TlsOptions>()

/** A module's `tls_config` as TLS options. It is always the same object, because a secure context belongs to an object. */
export function trustOf(config: ProbeTls): TlsOptions {
  let options = translated.get(config)
  if (options === undefined) {
    options = {
      caFile: config.ca ?? config.ca_file,
      certificateFile: config.cert ?? config.cert_file,
      keyFile: config.key ?? config.key_file,
      serverName: config.server_name,
      verify: !config.insecure_skip_verify,
      minVersion: config.min_version && versions[config.min_version],
      maxVersion: config.max_version && versions[config.max_version],
    }
    translated.set(config, options)
  }
  return options
}
