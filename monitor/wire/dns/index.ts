export { askTcp, askUdp } from './exchange.ts'
export { type DnsAnswer, queryOf } from './message.ts'
export { dnsClasses, dnsCodes, dnsTypes } from './names.ts'
export type { DnsRecord } from './records.ts'
