import { signingKeys } from '../../../agent/cloud/contract/documents.ts'
import type { KnownTrust } from '../../../agent/cloud/registration/state.ts'
import { trustPath } from '../../../agent/cloud/transport.ts'
import { cloudKeyOf, followTrust, pinnedAnchor } from '../../../agent/cloud/trust.ts'
import type { Asking } from './asking.ts'
import type { TriedRegion } from './region.ts'
import { expect, expectWorks, type Report } from './report.ts'

/** What the cloud has published about its trust. */
export async function tryTrust(
  asking: Asking,
  report: Report,
  region: TriedRegion,
  { cloudKey, pin }: { cloudKey?: string | undefined; pin?: string | undefined },
): Promise<void> {
  const { url, transport } = asking
  await report.try('The trust document', async () => {
    const sent = { method: 'GET', path: trustPath, headers: {} } as const
    const { status, headers, body } = await transport.send(sent, new AbortController().signal)
    expect(status === 200, `200 for ${trustPath}`, `${status}`)
    const type = headers['content-type'] ?? ''
    expect(/^application\/jose\b/.test(type), 'the content type application/jose', type)
    const { data = [] } = signingKeys.safeParse(region.keys)
    const known: KnownTrust = { cloud: url, sequence: 0, anchors: [], keys: cloudKey === undefined ? data : [cloudKeyOf(cloudKey)] }
    const trust = await expectWorks(followTrust(body, { cloud: url, known }), 'a document that is signed with a key of the cloud')
    expect(trust, 'a document with a sequence from 1 on', 'none')
    const { trust: announced } = (await region.whole()).body
    if (announced !== undefined) {
      const followed = followTrust(String(announced), { cloud: url, known })
      const expected = 'a document in the answer to a status that is signed with a key of the cloud'
      expect(await expectWorks(followed, expected), expected, String(announced).slice(0, 60))
    }
    if (pin !== undefined) expect(pinnedAnchor(body, pin), 'the CA certificate that the token pins', 'none')
  })
}
