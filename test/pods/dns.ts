import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Http } from '../cluster/index.ts'

const domain = 'svc.cluster.local'
const typeA = 1
const nameError = 3

/** The names of Services and nothing else, over UDP (RFC 1035), as a cluster's DNS answers pods. */
export type ClusterDns = { close(): void }

/** Answers on port 53 of this address, from what the API server says at that moment. */
export async function serveNames(http: Http, address: string): Promise<ClusterDns> {
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address: client }) => {
    answerTo(http, query).then(
      (answer) => socket.send(answer, port, client),
      () => {}, // whoever asks will ask again
    )
  })
  socket.bind(53, address)
  await once(socket, 'listening')
  return { close: () => void socket.close() }
}

async function answerTo(http: Http, query: Buffer): Promise<Buffer> {
  const { name, end } = readName(query, 12)
  const type = query.readUInt16BE(end)
  const found = await addressesOf(http, name.toLowerCase())
  const addresses = type === typeA ? (found ?? []) : [] // a name that has only addresses of the other family is not an error
  const head = Buffer.from(query.subarray(0, 12))
  head.writeUInt16BE(0x8580 | (found === undefined ? nameError : 0), 2) // an answer, with authority, recursion as asked for
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(addresses.length, 6)
  head.writeUInt32BE(0, 8)
  const records = addresses.map((address) => {
    const record = Buffer.alloc(16)
    record.writeUInt16BE(0xc00c, 0) // the name of the question
    record.writeUInt16BE(typeA, 2)
    record.writeUInt16BE(1, 4)
    record.writeUInt32BE(1, 6) // seconds that it may be kept
    record.writeUInt16BE(4, 10)
    record.set(address.split('.').map(Number), 12)
    return record
  })
  return Buffer.concat([head, query.subarray(12, end + 4), ...records])
}

/** @returns the name, and the place behind it */
function readName(query: Buffer, from: number): { name: string; end: number } {
  const labels: string[] = []
  let at = from
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.'), end: at + 1 }
}

/** Of a Service by `service.namespace.svc.cluster.local`: its own address, or those of its pods. Undefined when there is none of that name. */
async function addressesOf(http: Http, name: string): Promise<string[] | undefined> {
  const [service, namespace, ...rest] = name.split('.')
  if (rest.join('.') !== domain) return undefined
  const { status, body } = await http.get(`/api/v1/namespaces/${namespace}/services/${service}`)
  if (status !== 200) return undefined
  if (body.spec.clusterIP !== 'None') return [body.spec.clusterIP]
  const endpoints = await http.get(`/api/v1/namespaces/${namespace}/endpoints/${service}`)
  const subsets: { addresses?: { ip: string }[] }[] = endpoints.body?.subsets ?? []
  return subsets.flatMap(({ addresses = [] }) => addresses.map(({ ip }) => ip))
}
