import { decodeJwt, importJWK, type JWK, SignJWT } from 'jose'
import { documentTypes, signingKeys } from '../../../agent/cloud/contract/documents.ts'
import { cloudKeyOf, readJoinState, sequenceOf } from '../../../agent/cloud/trust.ts'
import { makeKey } from '../../../shared/signing/key.ts'
import type { Asking } from './asking.ts'
import type { TriedRegion } from './region.ts'
import { expect, expectRefusal, expectWorks, type Report } from './report.ts'

/** Renewals, as they should be and otherwise. @param cloudKey the public key of the cloud, PEM; undefined to take that of its answer */
export async function tryRenewals(
  asking: Asking,
  report: Report,
  region: TriedRegion,
  { url, cloudKey }: { url: string; cloudKey?: string | undefined },
) {
  await report.try('The document', async () => {
    const { data = [] } = signingKeys.safeParse(region.keys)
    const keys = cloudKey === undefined ? data : [cloudKeyOf(cloudKey)]
    const expected = { keys, cloud: url, id: region.id, thumbprint: region.own.thumbprint, after: 0 }
    await expectWorks(readJoinState(region.joinState, expected), 'a join state of this cloud and this region')
  })
  const { joinState, number } = region
  await report.try('The last number', async () => {
    const { text } = await region.renew(joinState)
    expect(region.number === number + 1, `the number ${number + 1}`, region.number === number ? text : `${region.number}`)
  })
  if (region.number > number) {
    const { credential, number: given } = region
    await report.try('One less, and the last was never used', async () => {
      const { code, text } = await region.renew(joinState)
      expect(code === 200, 'the answer that was lost', text)
      expect(region.number === given, `the number ${given} again`, `${region.number}`)
      expect(region.credential === credential, 'the same credential again', 'another one')
    })
  } else report.leave('the number does not grow', 'One less, and the last was never used')
  await report.try('A forged state', async () => {
    const payload = { ...decodeJwt(region.joinState), sequence: region.number + 5 }
    const key = await importJWK((await makeKey()) as JWK, 'EdDSA')
    const forged = await new SignJWT(payload).setProtectedHeader({ typ: documentTypes.joinState, alg: 'EdDSA' }).sign(key)
    expectRefusal(await region.renew(forged), 'a join state that somebody else has signed', 'invalid-signature')
    const trust = (await asking.transport.fetchTrust(new AbortController().signal)).trim().split('\n').at(-1) ?? ''
    if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(trust))
      expectRefusal(await region.renew(trust), 'a trust document in place of the join state', 'invalid-signature')
  })
}

/** Shows an old join state, as a copy of the region would: the region is locked afterwards. */
export async function tryCopy(report: Report, region: TriedRegion, say: (line: string) => void): Promise<void> {
  const old = region.joinStates.find((each) => sequenceOf(each) < region.number)
  if (old === undefined) return report.leave('the number does not grow', 'A lower number')
  await region.whole()
  const isLocked = await report.try('A lower number', async () => {
    const { number } = region
    expectRefusal(await region.renew(old), `the number ${sequenceOf(old)} after ${number} was used`, 'cloned')
    expectRefusal(await region.renew(), `the number ${number} after another one has shown a lower one`, 'cloned')
    // A cloud that makes another registration of each claim has failed at that.
    if (report.keeps('Same key, same region')) expectRefusal(await region.claim(), 'a claim with the key after that', 'cloned')
    expectRefusal(await region.whole(), 'a status with the key after that', 'cloned')
  })
  if (isLocked) say(`The registration ${region.id} stays behind at your cloud, locked: deregister it there.`)
  else await region.leave()
}
