import { dns } from './dns.ts'
import { grpc } from './grpc.ts'
import { http } from './http.ts'
import { icmp } from './icmp.ts'
import type { Prober } from './prober.ts'
import { tcp } from './tcp.ts'

/** Every prober. A new one is a file and an entry here; the configuration follows from the entry. */
export const probers = { http, tcp, dns, icmp, grpc } satisfies Record<string, Prober>
