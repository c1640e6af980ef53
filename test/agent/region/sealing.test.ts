import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Controller, SealingCertificate } from '../../../agent/region/sealing.ts'
import { Problem } from '../../../shared/errors.ts'
import type { ClusterRequest } from '../../../shared/kubernetes/connection.ts'
import { createLog } from '../../../shared/log.ts'
import { createServingCertificate } from '../../cluster/index.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'

const controller: Controller = { namespace: 'sealed-secrets', name: 'sealed-secrets', uid: 'u-1', isReady: true }
const day = 86_400_000
const { cert, key } = await createServingCertificate('sealing')
const another = (await createServingCertificate('sealing')).cert

/** The certificate of a controller that answers with these texts, the last one again and again. */
function sealingOf(t: { after: (end: () => Promise<void>) => void }, ...answers: (string | Error)[]) {
  const asked: ClusterRequest[] = []
  const clock = createFakeClock()
  const found: { controller: Controller | undefined } = { controller }
  // biome-ignore lint/suspicious/noExplicitAny: as the interface has it
  const request = async (given: ClusterRequest): Promise<any> => {
    asked.push(given)
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    if (answer instanceof Error) throw answer
    return answer
  }
  const sealing = new SealingCertificate(() => found.controller, {
    cluster: { request },
    clock,
    log: createLog({ level: 'silent', name: 'test' }),
  })
  t.after(() => sealing.stop())
  return { sealing, asked, clock, found }
}

test('the certificate is fetched as kubeseal does, once a day, and only the certificate is kept', async (t) => {
  const { sealing, asked, clock } = sealingOf(t, `# sealing\n${cert}\n${key}`)
  await sealing.start()
  await clock.advance(0)
  assert.equal(asked[0]?.path, '/api/v1/namespaces/sealed-secrets/services/http:sealed-secrets:/proxy/v1/cert.pem')
  assert.match(sealing.current?.certificate ?? '', /^-----BEGIN CERTIFICATE-----\n[\s\S]*\n-----END CERTIFICATE-----\n$/)
  assert.doesNotMatch(JSON.stringify(sealing.current), /PRIVATE/)
  assert.match(sealing.current?.fingerprint ?? '', /^[0-9a-f]{64}$/)
  assert.match(sealing.current?.expires ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  assert.equal(sealing.heardAt, clock.monotonic())
  await clock.advance(day - 1)
  assert.equal(asked.length, 1)
  await clock.advance(300_000)
  assert.equal(asked.length, 2)
})

test('another controller, and one that becomes ready, are asked at once', async (t) => {
  const { sealing, asked, clock, found } = sealingOf(t, cert, another)
  await sealing.start()
  await clock.advance(0)
  const { fingerprint } = sealing.current ?? {}
  let changes = 0
  sealing.subscribe(() => changes++)
  sealing.look()
  await clock.advance(0)
  assert.equal(asked.length, 1, 'the same one is not')
  found.controller = { ...controller, uid: 'u-2' }
  sealing.look()
  await clock.advance(0)
  assert.deepEqual([asked.length, changes], [2, 1])
  assert.notEqual(sealing.current?.fingerprint, fingerprint)
})

test('a certificate that cannot be fetched again stays, with the reason; an answer that is none was never known', async (t) => {
  const { sealing, clock, asked } = sealingOf(t, cert, new Problem('cluster-error', 'no endpoints available'), '<html>', cert)
  await sealing.start()
  await clock.advance(0)
  await clock.advance(day)
  assert.ok(sealing.current)
  assert.match(sealing.trouble ?? '', /no endpoints/)
  await clock.advance(600_000)
  assert.match(sealing.trouble ?? '', /other than a certificate/)
  await clock.advance(3_600_000)
  assert.equal(sealing.trouble, undefined)
  assert.ok(asked.length <= 5)

  for (const garbage of ['', 'no certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----']) {
    const astray = sealingOf(t, garbage)
    await astray.sealing.start()
    await astray.clock.advance(0)
    assert.deepEqual([astray.sealing.current, astray.sealing.heardAt], [undefined, undefined], garbage)
    assert.ok(astray.sealing.trouble)
  }
})

test('without a controller nobody is asked; if it goes, the certificate is stale', async (t) => {
  const { sealing, asked, clock, found } = sealingOf(t, cert)
  found.controller = undefined
  await sealing.start()
  await clock.advance(day)
  assert.deepEqual([asked.length, sealing.trouble], [0, undefined])
  found.controller = controller
  sealing.look()
  await clock.advance(0)
  found.controller = undefined
  sealing.look()
  await clock.advance(0)
  assert.match(sealing.trouble ?? '', /is gone/)
  assert.ok(sealing.current)
})
