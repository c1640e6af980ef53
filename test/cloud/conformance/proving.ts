import { randomBytes } from 'node:crypto'
import { endpoints } from '../../../agent/cloud/contract/endpoints.ts'
import { makeKey } from '../../../shared/signing/key.ts'
import type { Asking, Forged } from './asking.ts'
import { type TriedRegion, unknownRegion } from './region.ts'
import { expect, expectRefusal, type Report } from './report.ts'

/** Proofs that prove nothing. */
export async function tryProofs(asking: Asking, report: Report, region: TriedRegion): Promise<void> {
  const { url } = asking
  const stranger = await makeKey()
  const refused = async (what: string, forged: Forged) => expectRefusal(await region.whole({ forged }), what, 'invalid-signature')
  await report.try('The signature', async () => {
    await refused('a proof that another key has signed', { signer: stranger })
    await refused('a proof with the typ JWT', { typ: 'JWT' })
    await refused('a proof with the alg none', { isUnsigned: true })
  })
  await report.try('Method and URL', async () => {
    await refused('a proof for POST with a PUT', { htm: 'POST' })
    await refused('a proof for another path', { htu: `${url}/v1/regions/${unknownRegion()}/status` })
    await refused('a proof for another host', { htu: `https://another.example.org/v1/regions/${region.id}/status` })
  })
  await report.try('What the proof is over', async () => {
    await refused('a proof over another credential', { ath: randomBytes(32).toString('base64url') })
    await refused('a proof over nothing', { ath: null })
  })
  await report.try('The time', async () => {
    for (const lateBy of [-600, 600]) {
      const late = await region.whole({ forged: { lateBy } })
      expectRefusal(late, `a clock that is ${Math.abs(lateBy)} s ${lateBy < 0 ? 'behind' : 'ahead'}`, 'clock-skew')
      expect(typeof late.body.now === 'number', 'now with the refusal', 'none')
    }
    for (const lateBy of [-45, 45]) {
      const { code, text } = await region.whole({ forged: { lateBy } })
      expect(code === 200, `200 for a clock that is ${Math.abs(lateBy)} s ${lateBy < 0 ? 'behind' : 'ahead'}`, text)
    }
  })
  await report.try('Once', async () => {
    const forged = { jti: randomBytes(9).toString('base64url'), iat: Math.floor((Date.now() + asking.aheadMs) / 1000) }
    const { sequence } = region
    const once = await region.whole({ sequence: sequence + 1, forged })
    expect(once.code === 200, '200 for a proof', once.text)
    expectRefusal(await region.whole({ sequence: sequence + 1, forged }), 'the same proof again', 'invalid-signature')
  })
  await report.try('The key of the region', async () => {
    expectRefusal(await region.whole({ key: stranger }), 'a proof by another key', 'invalid-signature')
  })
  await report.try('An unknown region', async () => {
    const body = { joinState: region.joinState }
    const answer = await region.ask(endpoints.renew, { region: unknownRegion(), body })
    expectRefusal(answer, 'a registration that was never made', 'unknown-region')
  })
  await report.try('The credential', async () => {
    const credential = randomBytes(24).toString('base64url')
    expectRefusal(await region.whole({ credential }), 'a credential that was never given out', 'credential-expired')
    const [earlier] = region.credentials
    if (earlier === undefined || earlier === region.credential) return
    expectRefusal(await region.whole({ credential: earlier }), 'a credential after which another one was given out', 'credential-expired')
  })
}
