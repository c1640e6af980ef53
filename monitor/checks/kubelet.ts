import * as z from 'zod'
import { needApiServer, parseHealthParts } from '../wire/api-server.ts'
import { ask, below, httpFields, httpUrl, targetOfUrl } from '../wire/http-access.ts'
import type { Answer } from '../wire/http-exchange.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { shorten, someOf } from '../wire/wording.ts'
import { checkKind } from './kind.ts'

const options = z
  .strictObject({
    host: z
      .string()
      .min(1)
      .max(253)
      .optional()
      .describe('Name of the host (node). Its kubelet is asked through the API server, which requires the right to get nodes/proxy.'),
    url: httpUrl
      .optional()
      .describe('The kubelet itself: http://127.0.0.1:10248 on the host or, with more parts, https://HOST:10250 with a token.'),
    ...httpFields,
  })
  .refine(({ host, url }) => (host === undefined) !== (url === undefined), { error: 'needs host or url, and not both', path: ['host'] })

/** Up when the kubelet reports that it is healthy. */
export const kubelet = checkKind({
  about:
    'Asks a kubelet for `/healthz`, directly or through the API server. Down when the kubelet does not answer, or when a part of it fails; the detail names the part.',
  example: { url: 'http://127.0.0.1:10248' },
  options,
  measures: {
    skerry_kubelet_parts: { type: 'gauge', help: 'Parts of the kubelet, by state: ok, failed.', labels: ['state'] },
  },
  target: ({ host, url }) => host ?? targetOfUrl(url as string),
  async check(options, { signal, apiServer }) {
    const { host, url } = options
    const path = '/healthz?verbose'
    let answer: Answer
    if (url === undefined)
      answer = await needApiServer(apiServer).get(`/api/v1/nodes/${encodeURIComponent(host as string)}/proxy${path}`, {
        signal,
        kept: true,
      })
    else answer = await ask(options, { url: below(url, path), signal })
    const text = answer.body.toString('utf8')
    const { ok, failed } = parseHealthParts(text)
    const measurements = [
      { name: 'skerry_kubelet_parts', labels: { state: 'ok' }, value: ok.length },
      { name: 'skerry_kubelet_parts', labels: { state: 'failed' }, value: failed.length },
    ]
    if (answer.status === 200) {
      if (ok.length === 0 && text.trim() !== 'ok')
        throw new CheckFailure(
          'protocol',
          `The server answered 200 and ${shorten(text, 60)}, unlike any kubelet. Is this the right address?`,
        )
      return { state: 'up', detail: 'The kubelet is healthy.', measurements }
    }
    if (failed.length > 0)
      return {
        state: 'down',
        reason: 'failing',
        detail: `These parts of the kubelet fail: ${someOf(failed)}. See journalctl -u kubelet on the host.`,
        measurements,
      }
    throw refusal(answer, host)
  },
})

/** What a status means that does not come from the kubelet itself. */
function refusal({ status, body }: Answer, host: string | undefined): CheckFailure {
  const said = shorten(body.toString('utf8', 0, 300), 120)
  if (status === 401 || status === 403)
    return new CheckFailure('unauthorized', `The API server answered ${status}. Grant the monitor "get nodes/proxy".`)
  if (status === 404) return new CheckFailure('missing', `There is no host named ${host}. See kubectl get nodes.`)
  if (status === 502 || status === 503 || status === 504)
    return new CheckFailure(
      'unavailable',
      `The API server cannot reach the kubelet (status ${status}): ${said}. On the host, run systemctl status kubelet.`,
    )
  return new CheckFailure('unexpected_answer', `Status ${status}: ${said}. See journalctl -u kubelet on the host.`)
}
