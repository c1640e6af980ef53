import { type Received, type Transport, trustPath } from '../../agent/cloud/transport.ts'

/** A transport without a network: requests go straight to the handler of a cloud. */
export function directTransport(origin: string, fetch: (request: Request) => Response | Promise<Response>): Transport {
  const send: Transport['send'] = async ({ method, path, headers, body }) => {
    const answer = await fetch(new Request(`${origin}${path}`, { method, headers, ...(body !== undefined && { body }) }))
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() } satisfies Received
  }
  return {
    send,
    trust() {},
    fetchTrust: async (signal) => (await send({ method: 'GET', path: trustPath, headers: {} }, signal)).body,
    async close() {},
  }
}
