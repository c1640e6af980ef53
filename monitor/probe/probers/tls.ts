import type { TlsOptions } from '../../wire/tls.ts'
import type { ProbeTls } from '../modules/fields.ts'

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
