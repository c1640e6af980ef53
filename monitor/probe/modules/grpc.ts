import * as z from 'zod'
import { discreet } from '../../../shared/discretion.ts'
import { flag, ipProtocol, text, tlsConfig } from './fields.ts'

/** Names that HTTP/2 or gRPC use themselves. */
const reserved = [
  'content-type',
  'user-agent',
  'te',
  'host',
  'connection',
  'transfer-encoding',
  'upgrade',
  'keep-alive',
  'proxy-connection',
]

const metadata = z
  .record(
    z
      .string()
      .max(200)
      .regex(/^[0-9a-z._-]+$/, 'must be in lower case, as gRPC sends it')
      .refine((name) => !name.startsWith('grpc-') && !reserved.includes(name), 'is a name that gRPC uses itself'),
    z
      .array(
        z
          .string()
          .max(8192)
          .regex(/^[\x20-\x7e]*$/, 'must be printable ASCII'),
      )
      .max(20),
  )
  .default({})

/** The section `grpc` of a module. */
export const grpcSettings = z.strictObject({
  service: text(1000).prefault('').describe('Service whose health is asked for; empty for that of the whole server'),
  tls: flag.prefault(false).describe('Whether to connect with TLS'),
  tls_config: tlsConfig,
  metadata: discreet(metadata, 'headers').default({}).describe('Metadata of the request: for each name a list of values'),
  ...ipProtocol,
})

/** The settings of a gRPC probe. */
export type GrpcSettings = z.output<typeof grpcSettings>
