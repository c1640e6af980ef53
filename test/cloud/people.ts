import { randomBytes } from 'node:crypto'
import { html } from 'hono/html'
import { pinOf } from '../../agent/cloud/trust.ts'
import { issueToken } from '../../deploy/bootstrap/token.ts'
import type { HonestCloud } from './honest-cloud.ts'
import type { Answering } from './serve.ts'

/** How long a token holds, in seconds. */
const tokenSeconds = 86_400

/** What people at the cloud can do with a region. */
const decisions: Record<string, (cloud: HonestCloud, id: string) => void> = {
  unlock: ({ registry }, id) => registry.unlock(id),
  revoke: (cloud, id) => set(cloud, id, 'revoked'),
  allow: (cloud, id) => set(cloud, id, 'approved'),
  deregister: (cloud, id) => set(cloud, id, 'deregistered'),
}

function set({ registry }: HonestCloud, id: string, state: 'revoked' | 'approved' | 'deregistered'): void {
  const region = registry.records.regions[id]
  if (region) region.state = state
}

/**
 * What people at the cloud see and do: a page at `/`, the same in JSON at `/heard`, `POST /pair` with a code, `POST /tokens` with the name of a
 * region, `POST /regions/{region}/` with what they decide, and `GET /regions/{region}/export` with the file that it can be made again from. It
 * answers nothing else.
 * @param ca the CA of the certificate of the cloud (PEM), which a token pins
 */
export function doorForPeople(cloud: HonestCloud, ca?: () => string): (request: Request) => ReturnType<Answering> | undefined {
  return (request) => {
    const { pathname } = new URL(request.url)
    const [, exported] = /^\/regions\/([\w-]+)\/export$/.exec(pathname) ?? []
    if (request.method === 'GET' && exported !== undefined) return regionFileOf(cloud, exported)
    const [, id = '', decision = ''] = /^\/regions\/([\w-]+)\/(\w+)$/.exec(pathname) ?? []
    if (request.method === 'POST' && Object.hasOwn(decisions, decision)) return decided(cloud, id, decision)
    switch (`${request.method} ${pathname}`) {
      case 'GET /':
        return page(cloud)
      case 'GET /heard':
        return new Response(`${JSON.stringify({ regions: shown(cloud) }, null, 2)}\n`, { headers: { 'content-type': 'application/json' } })
      case 'POST /pair':
        return paired(cloud, request)
      case 'POST /tokens':
        return token(cloud, request, ca?.())
      default:
        return undefined
    }
  }
}

function shown({ registry }: HonestCloud) {
  return Object.values(registry.records.regions).map(({ id, claim, thumbprint, state, status, file }) => ({
    region: claim.region,
    id,
    thumbprint,
    state,
    status,
    ...(file && { file: { digest: file.digest, bytes: file.bytes.length, at: file.at } }),
  }))
}

async function page(cloud: HonestCloud): Promise<Response> {
  const rows = Object.values(cloud.registry.records.regions).map(({ id, claim, thumbprint, state, status, heardAt }) => {
    const heard = heardAt === undefined ? 'never' : `${Math.round((Date.now() - heardAt) / 1000)} s ago`
    const life = cloud.isAlive(id) ? 'heard of' : 'unknown'
    return html`<tr><td>${claim.region.id}</td><td>${id}</td><td>${state}</td><td>${life}, ${heard}</td><td>${thumbprint}</td></tr>
      <tr><td colspan="5"><details><summary>status ${status?.sequence ?? 'none'}</summary><pre>${JSON.stringify(status, null, 2)}</pre></details></td></tr>`
  })
  const body = await html`<!doctype html><meta http-equiv="refresh" content="5"><title>A cloud</title>
    <style>body { font-family: sans-serif } td, th { text-align: left; padding: 0 1em 0 0 }</style>
    <h1>Regions</h1><table><tr><th>region<th>registration<th>state<th>life<th>key</tr>${rows}</table>`
  return new Response(body.toString(), { headers: { 'content-type': 'text/html; charset=utf-8' } })
}

async function paired(cloud: HonestCloud, request: Request): Promise<Response> {
  try {
    const { id } = cloud.registry.typed(await request.text(), Date.now())
    return new Response(`${id} is approved, and joins when it asks next.\n`)
  } catch (error) {
    return new Response(`${(error as Error).message}\n`, { status: 404 })
  }
}

/** A token that is good for one region, for a day. */
async function token(cloud: HonestCloud, request: Request, ca: string | undefined): Promise<Response> {
  const region = (await request.text()).trim()
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(region)) return new Response('Send the name of the region.\n', { status: 400 })
  const issued = Math.floor(Date.now() / 1000)
  const expires = issued + tokenSeconds
  const id = randomBytes(16).toString('hex')
  const pin = ca && pinOf(ca)
  const claims = { region, cloud: cloud.origin, issued, expires, id, ...(pin !== undefined && { pin }) }
  const text = issueToken(claims, cloud.signatures.keys.privateKey)
  cloud.registry.addToken(text, { id, expiresAt: expires * 1000 })
  return new Response(`${text}\n`)
}

/** The file that a region can be made again from, as it came. */
function regionFileOf({ registry }: HonestCloud, id: string): Response {
  const { file } = registry.records.regions[id] ?? {}
  if (file === undefined) return new Response(`There is no file of ${id}.\n`, { status: 404 })
  return new Response(new Uint8Array(file.bytes), { headers: { 'content-type': 'application/json' } })
}

function decided(cloud: HonestCloud, id: string, decision: string): Response {
  if (cloud.registry.records.regions[id] === undefined) return new Response(`There is no ${id}.\n`, { status: 404 })
  decisions[decision]?.(cloud, id)
  return new Response(`${id}: ${decision}\n`)
}
