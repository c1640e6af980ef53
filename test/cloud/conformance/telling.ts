import { endpoints } from '../../../agent/cloud/contract/endpoints.ts'
import type { RegionContent } from '../../../agent/region-file/schema.ts'
import { writeRegionFile } from '../../../agent/region-file/writing.ts'
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

/** The file that a region can be made again from. */
export async function tryFile(report: Report, region: TriedRegion): Promise<void> {
  const file = async (name: string) => {
    const { bytes, digest } = await writeRegionFile(emptyRegion(name), { key: region.own.key })
    return { body: JSON.parse(bytes.toString('utf8')), digest }
  }
  const send = (body: object) => region.ask(endpoints.export, { credential: region.credential, body })
  const first = await file('Harbour')
  const answer = await send(first.body)
  if (answer.failure === 'export-refused') {
    report.leave('your cloud keeps none', 'The region file', 'A damaged region file')
    return
  }
  await report.try('The region file', () => {
    const got = answer.code === 200 ? JSON.stringify(answer.body.stored) : answer.text
    expect(answer.code === 200 && answer.body.stored === first.digest, `${first.digest} to be stored`, got)
  })
  await report.try('A damaged region file', async () => {
    const other = await file('Another harbour')
    expectRefusal(await send({ ...other.body, digest: first.digest }), 'a file whose digest does not fit', 'export-refused')
    expectRefusal(
      await send({ ...other.body, signature: first.body.signature }),
      'a file with the signature of another one',
      'export-refused',
    )
  })
}

/** A region with nothing in it. */
function emptyRegion(name: string): RegionContent {
  return {
    kind: 'SkerryRegion',
    version: 1,
    region: { id: 'conformance', name },
    createdAt: new Date().toISOString(),
    clock: { cloud: null, apiServer: null },
    ledger: { sequence: 0, hash: 'sha256:0' },
    kubernetes: { version: null, cluster: null },
    skerry: { version: '0.0.0' },
    components: [],
    projects: [],
    databases: [],
    retained: [],
    deployments: [],
    backups: [],
    tunnel: null,
  }
}
