import * as z from 'zod'
import { needApiServer } from '../wire/api-server.ts'
import { parseHealthParts } from '../wire/health-parts.ts'
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
      .describe('Name of the host (node): its kubelet is asked through the API server; needs the right to get nodes/proxy.'),
    url: httpUrl
      .optional()
      .describe('The kubelet itself, such as http://127.0.0.1:10248 on the host or, with more parts, https://HOST:10250 with a token.'),
    ...httpFields,
  })
  .refine(({ host, url }) => (host === undefined) !== (url === undefined), { error: 'needs host or url, and not both', path: ['host'] })

/** Up when the kubelet says that it is healthy. */
export const kubelet = checkKind({
  about:
    'Asks a kubelet for `/healthz`, directly or through the API server. Down when it does not answer or a part of it fails, with the part named.',
  example: { url: 'http://127.0.0.1:10248' },
  options,
  measures: {
    skerry_kubelet_parts: { type: 'gauge', help: 'Parts of the kubelet by state: ok, failed.', labels: ['state'] },
  },
  target: ({ host, url }) => host ?? targetOfUrl(url as string),
  async check(options, { signal, apiServer }) {
    const { host, url } = options
    const path = '/healthz?verbose'
    let answer: Answer
    if (url === undefined)
      answer = await needApiServer(apiServer).get(`/api/v1/nodes/${encodeURIComponent(host as string)}/proxy${path}`, { signal })
    else answer = await ask(options, { url: below(url, path), signal })
    const text = answer.body.toString('utf8')
    const { ok, failed } = parseHealthParts(text)
    const measurements = [
      { name: 'skerry_kubelet_parts', labels: { state: 'ok' }, value: ok.length },
      { name: 'skerry_kubelet_parts', labels: { state: 'failed' }, value: failed.length },
    ]
    if (answer.status === 200) {
      if (ok.length === 0 && text.trim() !== 'ok')
        throw new CheckFailure('protocol', `It answered 200 and ${shorten(text, 60)}, which no kubelet does. Is this the right address?`)
      return { state: 'up', detail: 'It is healthy.', measurements }
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

/** What a status means when the kubelet did not write it itself. */
function refusal({ status, body }: Answer, host: string | undefined): CheckFailure {
  const said = shorten(body.toString('utf8', 0, 300), 120)
  if (status === 401 || status === 403)
    return new CheckFailure('unauthorized', `The API server answered ${status}. Allow "get nodes/proxy" to the monitor.`)
  if (status === 404) return new CheckFailure('missing', `There is no host called ${host}. See kubectl get nodes.`)
  if (status === 502 || status === 503 || status === 504)
    return new CheckFailure(
      'unavailable',
      `The API server does not reach the kubelet (status ${status}): ${said}. See whether the host is up: systemctl status kubelet.`,
    )
  return new CheckFailure('unexpected_answer', `Status ${status}: ${said}. See journalctl -u kubelet on the host.`)
}
