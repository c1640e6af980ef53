import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { makePairingCode, shownCode } from '../../../agent/cloud/registration/pairing.ts'
import type { JoinSecret } from '../../../agent/cloud/registration/state.ts'
import type { Answer, Asking } from './asking.ts'
import { TriedRegion } from './region.ts'
import { expect, expectRefusal, type Report } from './report.ts'

/** What somebody has given for joining, and how to tell them something. */
export type Given = { token?: JoinSecret | undefined; expiredToken?: JoinSecret | undefined; say: (line: string) => void }

/** How long somebody has to approve the region. */
const approvalMs = 600_000

/** Registers a region that others can be tried with. @returns undefined if that failed, which the report says */
export async function join(asking: Asking, report: Report, given: Given): Promise<TriedRegion | undefined> {
  const { token, expiredToken } = given
  const stranger = async (secret: JoinSecret) => TriedRegion.make(asking, { token: secret })
  await report.try('An unknown token', async () => {
    const region = await stranger({ sha256: randomBytes(32).toString('hex') })
    expectRefusal(await region.claim(), 'a token that nobody has made', 'token-unknown')
  })
  if (expiredToken === undefined) report.leave('give it one with --expired-token-file', 'An expired token')
  else
    await report.try('An expired token', async () => {
      expectRefusal(await (await stranger(expiredToken)).claim(), 'the expired token', 'token-expired')
    })
  const region = await first(asking, report, token)
  return (await approved(report, region, given)) ? region : undefined
}

/** The region that gets the token, if two want it at once. */
async function first(asking: Asking, report: Report, token: JoinSecret | undefined): Promise<TriedRegion> {
  if (token?.id === undefined) {
    const why = token ? 'the token has no id, and may be good for several regions' : 'no token was given: --token-file'
    report.leave(why, 'One region for a token')
    return TriedRegion.make(asking, token && { token })
  }
  const both = [await TriedRegion.make(asking, { token }), await TriedRegion.make(asking, { token })] as const
  const answers = await Promise.all(both.map((region) => region.claim()))
  const winner = answers[0]?.code === 200 || answers[0]?.code === 202 ? 0 : 1
  const [region, other] = winner === 0 ? both : [both[1], both[0]]
  await report.try('One region for a token', async () => {
    const loser = answers[1 - winner] as Answer
    if (loser.code < 300) await other.leave()
    expectRefusal(loser, 'one of two keys that claim with one token at once', 'token-used')
  })
  return region
}

/** Claims until the region has joined. */
async function approved(report: Report, region: TriedRegion, { token, say }: Given): Promise<boolean> {
  const deadline = performance.now() + approvalMs
  let code = makePairingCode()
  for (let isFirst = true; ; isFirst = false) {
    const answer = await region.claim(token ? {} : { code })
    if (answer.code === 200) {
      if (region.joinState === '') report.breakOff('the answer to its claim has no join state')
      return region.joinState !== ''
    }
    if (answer.failure === 'pairing-code-taken') {
      code = makePairingCode()
    } else if (answer.code !== 202 || performance.now() > deadline) {
      report.breakOff(`the region has not joined: ${answer.text}`)
      return false
    } else if (isFirst) {
      say(
        token
          ? `Approve the region with the key ${region.own.thumbprint} at your cloud, within ten minutes.`
          : `Type the pairing code ${shownCode(code)} at your cloud, within ten minutes.`,
      )
    }
    await sleep(Math.min(10, Number(answer.body.retryAfter) || 2) * 1000)
  }
}

/** Claims of a region that has joined, and of others that wait for somebody. */
export async function tryClaims(asking: Asking, report: Report, region: TriedRegion): Promise<void> {
  await report.try('Same key, same region', async () => {
    const { body, text } = await region.claim()
    expect(body.id === region.id, `the registration ${region.id} for the same claim`, `${body.id ?? text}`)
  })
  if (!region.hasToken) report.leave('no token was given: --token-file', 'What proves the token')
  else
    await report.try('What proves the token', async () => {
      const seen = await region.claim({ mac: randomBytes(32).toString('base64url') })
      expectRefusal(seen, 'a claim that shows the hash of the token without having it', 'token-unknown')
    })
  await report.try('Unknown fields', async () => {
    const { code, text } = await region.claim({ besides: { future: { field: 1 } } })
    expect(code === 200, '200 for a claim with a field that is not in the contract', text)
    if ((await region.whole()).code !== 200) return
    const change = await region.change({ besides: { region: { name: 'Harbour' }, future: { field: 1 } } })
    expect(change.code === 200, '200 for a status with a field that is not in the contract', change.text)
  })
  const code = makePairingCode()
  const waiting = await TriedRegion.make(asking, { code })
  const answer = await waiting.claim()
  if (answer.failure === 'not-approved') {
    const why = 'your cloud takes nobody without a token'
    return report.leave(why, 'No token', 'One code for two', 'Leaving')
  }
  await report.try('No token', async () => {
    expect(answer.code === 202, '202 for a claim without a token', answer.text)
    const again = await waiting.claim()
    expect(again.code === 202 && again.body.id === waiting.id, `202 for ${waiting.id} once more`, again.text)
  })
  await report.try('One code for two', async () => {
    const other = await TriedRegion.make(asking, { code })
    const taken = await other.claim()
    if (taken.code < 300) await other.leave()
    expectRefusal(taken, 'a code that another region shows', 'pairing-code-taken')
  })
  await report.try('Leaving', async () => {
    const left = await waiting.leave()
    expect(left.code === 204, '204 for a region that leaves', left.text)
    expectRefusal(await waiting.leave(), 'a region that has left', 'deregistered', 'unknown-region')
  })
}
