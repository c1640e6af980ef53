import type { Answer } from './asking.ts'
import type { TriedRegion } from './region.ts'
import { expect, expectRefusal, type Report } from './report.ts'

function expectAcknowledged({ code, body, text }: Answer, sequence: number, what: string): void {
  const got = code === 200 ? `${JSON.stringify(body.acknowledged)}` : text
  expect(code === 200 && body.acknowledged === sequence, `${sequence} to be acknowledged for ${what}`, got)
}

/** Statuses, whole ones and changes. */
export async function tryStatuses(report: Report, region: TriedRegion): Promise<void> {
  const whole = async (what: string, given: Parameters<TriedRegion['whole']>[0] = {}) =>
    expectAcknowledged(await region.whole(given), region.sequence, what)
  await report.try('The whole status', async () => {
    await whole('a whole status')
    const { sequence } = region
    try {
      await whole('a whole status with a lower sequence', { sequence: sequence - 1_000 })
    } finally {
      region.sequence = sequence
    }
  })
  await report.try('Compressed bodies', async () => {
    const hosts = Array.from({ length: 100 }, (_, index) => ({ hostname: `host-${index}`, ready: true }))
    await whole('a whole status of some KiB that is compressed', { isPacked: true, besides: { hosts } })
  })
  await report.try('A patch', async () => {
    await region.whole()
    const generatedAt = new Date().toISOString()
    const change = { generatedAt, region: { name: 'Harbour', parts: { name: { observedAt: generatedAt } } } }
    expectAcknowledged(await region.change({ besides: change }), region.sequence, 'a merge patch')
  })
  await report.try('A heartbeat', async () => {
    await region.whole()
    expectAcknowledged(await region.change(), region.sequence, 'a heartbeat')
  })
  await report.try('Another status', async () => {
    await region.whole()
    expectRefusal(await region.change({ ifMatch: region.sequence - 1 }), 'a patch for another status', 'out-of-step')
  })
}
