import type { IncomingMessage } from 'node:http'
import { type Agent, request as httpsRequest } from 'node:https'
import { type Answer, type Exchange, guarded, maxHeadBytes, meaningOf, readBody } from './http-exchange.ts'
import { asError } from './socket.ts'
import type { TlsSettings } from './tls.ts'

/**
 * Sends one GET over a connection that the agent keeps, and reads the answer as `exchange` does. If the server closed a kept connection
 * meanwhile, it is sent once more.
 * @throws CheckFailure, the connection's error, or the signal's reason
 */
export async function exchangeKept(given: KeptExchange): Promise<Answer> {
  const reused = { value: false }
  try {
    return await attempt(given, reused)
  } catch (error) {
    if (given.signal.aborted || !reused.value) throw error
    return await attempt(given, { value: false })
  }
}

type KeptExchange = Required<Pick<Exchange, 'url' | 'headers' | 'maxBytes' | 'signal'>> & { agent: Agent; tls: TlsSettings }

/** @param reused becomes true while nothing was heard on a connection that had served before */
function attempt({ url, headers, maxBytes, signal, agent, tls }: KeptExchange, reused: { value: boolean }): Promise<Answer> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const started = performance.now()
    const create = () =>
      httpsRequest(url, {
        agent,
        ...tls,
        maxHeaderSize: maxHeadBytes,
        joinDuplicateHeaders: true,
        headers: { 'User-Agent': 'skerry-monitor', ...headers },
      })
    const request = guarded(create, (error) => fail(error))
    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', onAbort)
      settle()
    }
    const fail = (error: Error) => {
      reused.value = request.reusedSocket && reused.value
      finish(() => reject(error))
      request.destroy()
    }
    const onAbort = () => fail(asError(signal.reason))
    signal.addEventListener('abort', onAbort, { once: true })
    reused.value = true
    request.on('error', (error) => fail(meaningOf(error, url)))
    request.on('response', (response: IncomingMessage) => {
      reused.value = false
      const answered = performance.now()
      const { statusCode: status = 0, httpVersion, headers } = response
      readBody(response, { maxBytes }).then((body) => {
        const phases = { resolve: 0, connect: 0, tls: 0, processing: answered - started, transfer: performance.now() - answered }
        finish(() => resolve({ status, httpVersion, headers, body, phases }))
      }, fail)
    })
    request.end()
  })
}
