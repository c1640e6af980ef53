import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { datesMeaning } from '../../../agent/cloud/certificate-dates.ts'
import { sentenceOf } from '../../../agent/cloud/contract/failures.ts'
import type { CloudFault } from '../../../agent/cloud/fault.ts'
import { createUndiciTransport } from '../../../agent/cloud/undici-transport.ts'
import { systemClock } from '../../../shared/clock.ts'
import { serveCloud } from '../../cloud/serve.ts'
import { createServingCertificate } from '../../cluster/index.ts'

const now = Date.UTC(2026, 0, 31, 12)
const hour = 3_600_000

const sentences = [
  {
    name: 'says that our clock is behind, if that is why a certificate is not valid yet',
    said: datesMeaning('CERT_NOT_YET_VALID', now, { offsetMs: 3 * hour, uncertaintyMs: 500 }),
    own: 'wrong-clock',
    message:
      'The clock of this machine is wrong: it is 3 h behind, so the certificate of the cloud does not count as valid yet. Now it is 2026-01-31T12:00:00Z here, and 2026-01-31T15:00:00Z there by its own word.',
  },
  {
    name: 'says that our clock is ahead, if that is why a certificate has expired',
    said: datesMeaning('CERT_HAS_EXPIRED', now, { offsetMs: -90_000, uncertaintyMs: 500 }),
    own: 'wrong-clock',
    message:
      'The clock of this machine is wrong: it is 90 s ahead, so the certificate of the cloud counts as expired. Now it is 2026-01-31T12:00:00Z here, and 2026-01-31T11:58:30Z there by its own word.',
  },
  {
    name: 'blames the certificate if the clocks agree',
    said: datesMeaning('CERT_HAS_EXPIRED', now, { offsetMs: 200, uncertaintyMs: 500 }),
    own: 'certificate-dates',
    message:
      'The dates of the certificate of the cloud do not fit: it has expired, and the clock of this machine is not why. It is 2026-01-31T12:00:00Z there too.',
  },
  {
    name: 'does not blame a clock that is wrong in the other direction',
    said: datesMeaning('CERT_HAS_EXPIRED', now, { offsetMs: hour, uncertaintyMs: 500 }),
    own: 'certificate-dates',
    message:
      'The dates of the certificate of the cloud do not fit: it has expired, and the clock of this machine is not why. It is 2026-01-31T13:00:00Z there too.',
  },
  {
    name: 'says what our clock says if the cloud cannot be asked',
    said: datesMeaning('CERT_NOT_YET_VALID', now, undefined),
    own: 'certificate-dates',
    message:
      'The dates of the certificate of the cloud do not fit: it is not valid yet by the clock of this machine, which says 2026-01-31T12:00:00Z. The cloud could not be asked for its time.',
  },
]
for (const { name, said, own, message } of sentences)
  test(`a certificate with other dates: ${name}`, () => {
    assert.deepEqual(said, { own, message })
    assert.equal(sentenceOf(said.own, message), message, 'it begins as its class does')
  })

/** What a region is told by a cloud whose certificate is valid from then on, and whose clock is so far ahead. */
async function told(t: TestContext, { from, until, aheadMs }: { from: number; until?: number; aheadMs: number }): Promise<unknown> {
  const served = await serveCloud(Date.now, (cloud) => async (request) => {
    const answer = await cloud.app.fetch(request)
    answer.headers.set('date', new Date(Date.now() + aheadMs).toUTCString())
    return answer
  })
  t.after(() => served.close())
  const certificate = await createServingCertificate('cloud', [], { from, ...(until !== undefined && { until }) })
  served.use(certificate)
  const transport = createUndiciTransport({ url: served.origin, ca: certificate.ca, timeoutMs: 10_000, clock: systemClock })
  t.after(() => transport.close())
  return transport.send({ method: 'GET', path: '/v1/regions', headers: {} }, AbortSignal.timeout(10_000)).catch((error: unknown) => error)
}

test('wrong-clock: a region whose clock is behind learns that from the cloud itself, over a connection that is good for nothing else', async (t) => {
  const fault = (await told(t, { from: Date.now() + hour, aheadMs: 3 * hour })) as CloudFault
  assert.deepEqual([fault.kind, fault.own, fault.isUnknownCa], ['untrusted', 'wrong-clock', false])
  assert.match(
    fault.message,
    /^The clock of this machine is wrong: it is 3 h behind, so the certificate of the cloud does not count as valid yet\. /,
  )
})

test('certificate-dates: a certificate that has expired by everybody’s clock is the cloud’s to renew', async (t) => {
  const fault = (await told(t, { from: Date.now() - 5 * hour, until: Date.now() - hour, aheadMs: 0 })) as CloudFault
  assert.deepEqual([fault.kind, fault.own, fault.isUnknownCa], ['untrusted', 'certificate-dates', false])
  assert.match(
    fault.message,
    /^The dates of the certificate of the cloud do not fit: it has expired, and the clock of this machine is not why\. /,
  )
})
