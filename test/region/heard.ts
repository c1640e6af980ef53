import { gunzipSync } from 'node:zlib'
import { shownCode } from '../../agent/cloud/registration/pairing.ts'
import type { Display } from './display.ts'

/** A request of the region that the cloud has answered. */
export type Heard = {
  method: string
  path: string
  kind: 'claim' | 'renewal' | 'leave' | 'file' | 'status' | 'change' | 'heartbeat' | 'other'
  /** The decoded body; undefined without one. */
  body: Record<string, unknown> | undefined
  /** Of the body as it travelled, compressed or not. */
  bytes: number
  /** The status of the answer. */
  status: number
}

/** Reads what the region has sent. */
export function heardOf({ method, url, headers }: Request, sent: Buffer, status: number): Heard {
  const path = new URL(url).pathname
  const text = headers.get('content-encoding') === 'gzip' ? gunzipSync(sent) : sent
  const body = text.length === 0 ? undefined : JSON.parse(text.toString('utf8'))
  return { method, path, kind: kindOf(method, path, body), body, bytes: sent.length, status }
}

function kindOf(method: string, path: string, body: Record<string, unknown> | undefined): Heard['kind'] {
  if (method === 'POST') return path.endsWith('/credential') ? 'renewal' : 'claim'
  if (method === 'DELETE') return 'leave'
  if (path.endsWith('/export')) return 'file'
  if (!path.endsWith('/status')) return 'other'
  if (method === 'PUT') return 'status'
  return body?.region === undefined ? 'heartbeat' : 'change'
}

/** A request in a line, such as `PATCH  /v1/regions/r-5f3c9a/status · databases, capacity · 212 bytes`. */
export function lineOfRequest({ method, path, kind, body, bytes, status }: Heard): string {
  const answered = status >= 300 ? `answered with ${status}` : status === 202 ? 'somebody has to approve it' : ''
  return [`${method.padEnd(6)} ${path}`, saidIn(kind, body), kind === 'other' ? '' : `${bytes} bytes`, answered].filter(Boolean).join(' · ')
}

function saidIn(kind: Heard['kind'], body: Record<string, unknown> = {}): string {
  switch (kind) {
    case 'claim': {
      const { pairing, region } = body as { pairing?: { code: string }; region?: { id: string } }
      return `${region?.id} asks to join${pairing ? `, with the code ${shownCode(pairing.code)}` : ''}`
    }
    case 'renewal':
      return 'another credential'
    case 'leave':
      return 'the region leaves'
    case 'file':
      return 'the file that it can be made again from'
    case 'status':
      return `all of its status: ${fieldsOf(body)}`
    case 'change':
      return `what has changed: ${fieldsOf(body)}`
    case 'heartbeat':
      return 'a heartbeat'
    case 'other':
      return ''
  }
}

const shownFields = 4

/** The fields of the region that a status tells; of a change of ages alone, whose. */
function fieldsOf({ region = {} }: { region?: object }): string {
  const { parts = {}, ...fields } = region as Record<string, object>
  const names = Object.keys(fields).length > 0 ? Object.keys(fields) : Object.keys(parts).map((name) => `age of ${name}`)
  const shown = names.slice(0, shownFields).join(', ')
  return names.length > shownFields ? `${shown} and ${names.length - shownFields} more` : shown
}

const changeLines = 6
const heartbeatLines = 2

/** Shows requests as they come: those that repeat the one before are left out, and so are changes and heartbeats after the first ones. */
export function showRequests(display: Display): (heard: Heard) => void {
  const left = new Map<Heard['kind'], number>([
    ['change', changeLines],
    ['heartbeat', heartbeatLines],
  ])
  let last: string | undefined
  return (heard) => {
    const line = lineOfRequest(heard)
    const lines = left.get(heard.kind)
    if (line === last && lines === undefined) return
    last = line
    if (lines === 0) return
    if (lines !== undefined) left.set(heard.kind, lines - 1)
    display.line(`◂ ${line}`)
  }
}

/** How many of each there were, such as `2 claims, 1 status, 3 changes`. */
export function countsOfRequests(heard: readonly Heard[]): string {
  const counts = new Map<string, number>()
  for (const { kind } of heard) if (kind !== 'other') counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return [...counts].map(([kind, count]) => `${count} ${count === 1 ? kind : kind === 'status' ? 'statuses' : `${kind}s`}`).join(', ')
}
