import { CloudFault } from '../../../agent/cloud/fault.ts'
import { mostAskedMs } from '../../../agent/cloud/pause.ts'
import type { JoinSecret } from '../../../agent/cloud/registration/state.ts'
import type { Transport } from '../../../agent/cloud/transport.ts'
import { Asking } from './asking.ts'
import { join, tryClaims } from './joining.ts'
import { tryLife } from './living.ts'
import { tryProofs } from './proving.ts'
import type { TriedRegion } from './region.ts'
import { tryCopy, tryRenewals } from './renewing.ts'
import { expect, Report } from './report.ts'
import { tryFile, tryStatuses } from './telling.ts'
import { tryTrust } from './trusting.ts'

/** What somebody has given for trying a cloud. */
export type Given = {
  /** The origin of the cloud. */
  url: string
  /** How requests travel to it. */
  transport: Transport
  /** The public key of the cloud, PEM; that of its answers if there is none. */
  cloudKey?: string | undefined
  token?: JoinSecret | undefined
  expiredToken?: JoinSecret | undefined
  /** After how many milliseconds the cloud has closed a connection that was idle for as long as asked; absent to leave that out. */
  idle?: Promise<number | undefined> | undefined
  /** Tells somebody what to do, or what stays behind. */
  say: (line: string) => void
}

/**
 * Tries a cloud: one region lives at it, which loses answers, has a wrong clock, is copied, and is forged.
 * @throws CloudFault if the cloud has not answered once
 */
export async function tryCloud(given: Given): Promise<Report> {
  const { url, transport, idle } = given
  const report = new Report()
  const asking = new Asking(url, transport)
  try {
    const region = await join(asking, report, given)
    if (region) await tryAll(asking, report, region, given)
  } catch (error) {
    if (!(error instanceof CloudFault && asking.isAnswered)) throw error
    report.breakOff(error.message)
  }
  await tryNotes(asking, report)
  leaveWhatNobodyCanTry(report)
  if (idle === undefined) report.leave('it was left out', 'Idle connections')
  else
    await report.try('Idle connections', async () => {
      const closedMs = await idle
      expect(closedMs === undefined, 'a connection that stays open', `it was closed after ${(closedMs ?? 0) / 1000} s`)
    })
  return report
}

async function tryAll(asking: Asking, report: Report, region: TriedRegion, given: Given): Promise<void> {
  const { token, cloudKey, say, url } = given
  await tryClaims(asking, report, region)
  await tryRenewals(asking, report, region, { url, cloudKey })
  await tryStatuses(report, region)
  await tryFile(report, region)
  await tryProofs(asking, report, region)
  await tryTrust(asking, report, region, { cloudKey, pin: token?.pin })
  if (report.hasFailed || hasNotes(asking)) report.leave('first mend what fails', 'All together')
  else await tryLife(asking, report, region, token)
  await tryCopy(report, region, say)
}

/** What is true of all answers. */
async function tryNotes({ notes, delays }: Asking, report: Report): Promise<void> {
  const none = (found: ReadonlySet<string>, expected: string) => () => expect(found.size === 0, expected, [...found].slice(0, 5).join('; '))
  await report.try('JSON with your time', none(notes.json, 'JSON with now in each answer'))
  await report.try('The shape of answers', none(notes.shape, 'answers as in cloud-api.yaml'))
  await report.try('Problem documents', none(notes.problem, 'problem documents whose type ends with a class'))
  if (notes.patience.size > 0 || delays > 0)
    await report.try('Patience', none(notes.patience, `seconds, at most ${mostAskedMs / 60_000} minutes`))
}

function hasNotes({ notes }: Asking): boolean {
  return Object.values(notes).some(({ size }) => size > 0)
}

function leaveWhatNobodyCanTry(report: Report): void {
  report.leave('a person types them', 'Codes as people type them')
  report.leave('it takes a cloud that was restored from a backup', 'A higher number')
  report.leave('only your cloud knows when', 'Patience')
  report.leave('it shows in your cloud', 'Whether a region lives')
  report.leave('it takes a month', 'Another CA', 'Another key')
}
