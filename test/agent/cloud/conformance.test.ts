import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { CloudFault } from '../../../agent/cloud/fault.ts'
import { Asking } from '../../cloud/conformance/asking.ts'
import { TriedRegion } from '../../cloud/conformance/region.ts'
import { tryCloud } from '../../cloud/conformance/run.ts'
import { directTransport } from '../../cloud/direct-transport.ts'
import { HonestCloud } from '../../cloud/honest-cloud.ts'
import { type Point, points } from '../../cloud/points.ts'
import { origin, tokenWith } from '../../cloud/world.ts'

/** A test in which both sides have one clock, which stands still: how late a proof is does not depend on how busy this machine is. */
function testAtOneMoment(name: string, run: () => Promise<void>): void {
  test(name, (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    return run()
  })
}

/** What no stranger can see, from outside and in a minute. */
const beyond: readonly Point[] = [
  'Codes as people type them',
  'A higher number',
  'Patience',
  'Whether a region lives',
  'Another CA',
  'Another key',
]

/** Answers a request in place of a cloud, which `answer` asks. */
type Slip = (request: Request, answer: (request: Request) => Promise<Response>) => Promise<Response>

/** What is found about a cloud that leaves a point of the contract out. */
async function found(without?: Point, { closedMs, slip }: { closedMs?: number; slip?: Slip } = {}) {
  const cloud = new HonestCloud(origin, Date.now, without === undefined ? {} : { without })
  await cloud.publish({ anchors: [] })
  const [token, expired] = [tokenWith({ id: 'new' }), tokenWith({ id: 'old' })]
  cloud.registry.addToken(token)
  cloud.registry.addToken(expired, { expiresAt: 1 })
  const secretOf = (text: string, id: string) => ({ id, sha256: createHash('sha256').update(text).digest('hex') })
  const said: string[] = []
  const answer = async (request: Request) => cloud.app.fetch(request)
  const report = await tryCloud({
    url: origin,
    transport: directTransport(origin, (request) => (slip ? slip(request, answer) : answer(request))),
    cloudKey: cloud.key,
    token: secretOf(token, 'new'),
    expiredToken: secretOf(expired, 'old'),
    idle: Promise.resolve(closedMs),
    say: (line) => said.push(line),
  })
  const of = (result: string) => report.verdicts.filter(([, verdict]) => verdict.result === result).map(([point]) => point)
  return { report, cloud, said, of }
}

testAtOneMoment('a cloud that keeps the contract passes every point that can be tried from outside', async () => {
  const { report, said, of } = await found()
  assert.deepEqual(of('fail'), [], JSON.stringify(report.verdicts))
  assert.deepEqual(of('not tried'), beyond)
  assert.equal(report.hasFailed, false)
  assert.equal(said.length, 1)
  assert.match(said[0] ?? '', /^The registration r-[0-9a-f]+ stays behind at your cloud, locked/)
})

for (const point of points.filter((each) => !beyond.includes(each) && each !== 'All together' && each !== 'Idle connections')) {
  testAtOneMoment(`a cloud that does not keep "${point}" fails at that point, and at no other`, async () => {
    const { report, of } = await found(point)
    assert.deepEqual(of('fail'), [point], JSON.stringify(report.verdicts))
  })
}

testAtOneMoment('a cloud that closes idle connections fails at that point, and at no other', async () => {
  const { of } = await found(undefined, { closedMs: 5_000 })
  assert.deepEqual(of('fail'), ['Idle connections'])
})

/** What a cloud does that keeps the contract but for one thing, and the point that says so. */
const slips: { what: string; point: Point; slip: Slip }[] = [
  {
    what: 'takes a proof without a signature',
    point: 'The signature',
    slip: async (request, answer) => (headerOf(request).alg === 'none' ? acknowledged(request) : answer(request)),
  },
  {
    what: 'takes a credential after which it has given out another one',
    point: 'The credential',
    slip: (() => {
      const given = new Set<string>()
      return async (request, answer) => {
        const copy = request.clone()
        const answered = await answer(request)
        const credential = (
          (await answered
            .clone()
            .json()
            .catch(() => ({}))) as { credential?: { token: string } }
        ).credential
        if (credential) given.add(`DPoP ${credential.token}`)
        const isOld = answered.status === 401 && given.has(copy.headers.get('authorization') ?? '')
        return isOld && /credential-expired/.test(await answered.clone().text()) ? acknowledged(copy) : answered
      }
    })(),
  },
  {
    what: 'takes a claim of a region that it has locked',
    point: 'A lower number',
    slip: async (request, answer) => {
      const answered = await answer(request)
      return answered.status === 409 && request.url.endsWith('/v1/regions') && /cloned/.test(await answered.clone().text())
        ? json({ state: 'awaiting-approval', id: 'r-1', retryAfter: 1, now: Date.now() }, 202)
        : answered
    },
  },
  {
    what: 'takes any document of its own for a join state',
    point: 'A forged state',
    slip: async (request, answer) => {
      const { joinState = '' } = (await request
        .clone()
        .json()
        .catch(() => ({}))) as { joinState?: string }
      const isTrust = Buffer.from(joinState.split('.')[0] ?? '', 'base64url').includes('skerry-trust')
      return isTrust ? problem('unknown-region', 404) : answer(request)
    },
  },
  {
    what: 'refuses a status with a field that it does not know',
    point: 'Unknown fields',
    slip: async (request, answer) =>
      /"future"/.test(await textOf(request)) && request.method === 'PATCH' ? problem('revoked', 403) : answer(request),
  },
  {
    what: 'knows operations that the region has never told of',
    point: 'The shape of answers',
    slip: async (request, answer) => changed(await answer(request), { ledger: { known: 7 } }),
  },
  {
    what: 'announces a trust document that it has not signed',
    point: 'The trust document',
    slip: async (request, answer) => changed(await answer(request), { trust: 'eyJ9.eyJ9.eyJ9' }),
  },
  { what: 'is busy without saying for how long', point: 'Patience', slip: busyOnce() },
  { what: 'is busy for a whole hour', point: 'Patience', slip: busyOnce('3600') },
]

/** The first request finds it busy. */
function busyOnce(retryAfter?: string): Slip {
  let asked = 0
  return async (request, answer) => {
    if (++asked > 1) return answer(request)
    const later = json({ type: 'about:blank', title: 'Later', status: 503, now: Date.now() }, 503)
    if (retryAfter !== undefined) later.headers.set('retry-after', retryAfter)
    return later
  }
}

function headerOf(request: Request): Record<string, unknown> {
  const [header = ''] = (request.headers.get('dpop') ?? '').split('.')
  return header === '' ? {} : (JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>)
}

function json(body: object, status = 200, type = 'application/json'): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': type } })
}

function problem(name: string, status: number): Response {
  return json({ type: `${origin}/problems/${name}`, title: name, status, now: Date.now() }, status, 'application/problem+json')
}

async function textOf(request: Request): Promise<string> {
  return request.clone().text()
}

async function acknowledged(request: Request): Promise<Response> {
  return json({ acknowledged: ((await request.clone().json()) as { sequence: number }).sequence, now: Date.now() })
}

/** An answer to a status, with something else in it. */
async function changed(answered: Response, besides: object): Promise<Response> {
  const body = (await answered
    .clone()
    .json()
    .catch(() => ({}))) as { acknowledged?: number }
  return body.acknowledged === undefined ? answered : json({ ...body, ...besides })
}

for (const { what, point, slip } of slips) {
  testAtOneMoment(`a cloud that ${what} fails at "${point}", and at no other`, async () => {
    const { report, of } = await found(undefined, { slip })
    assert.deepEqual(of('fail'), [point], JSON.stringify(report.verdicts))
  })
}

testAtOneMoment('a cloud at which the region does not come so far has not passed, and what was found so far stays', async () => {
  const { report, of } = await found(undefined, {
    slip: async (request, answer) => {
      const { token } = JSON.parse((await textOf(request)) || '{}') as { token?: { id?: string } }
      return token?.id === 'new' ? problem('not-approved', 403) : answer(request)
    },
  })
  assert.equal(report.brokenOff, 'the region has not joined: not-approved')
  assert.equal(report.hasFailed, true)
  assert.ok(of('pass').includes('An unknown token'))
})

testAtOneMoment('a cloud that goes away in the middle has not passed, and what was found so far stays', async () => {
  let claims = 0
  const { report, of } = await found(undefined, {
    slip: async (request, answer) => {
      if (request.url.endsWith('/v1/regions') && ++claims > 4) throw new CloudFault('unreachable', 'It went away.')
      return answer(request)
    },
  })
  assert.equal(report.hasFailed, true)
  assert.ok(of('pass').includes('An expired token'))
})

for (const state of ['revoked', 'deregistered'] as const) {
  testAtOneMoment(`a region that was ${state} does not come back with the token that it has used, but with another one`, async () => {
    const cloud = new HonestCloud(origin, Date.now)
    const asking = new Asking(
      origin,
      directTransport(origin, (request) => cloud.app.fetch(request)),
    )
    const [used, other] = [tokenWith({ id: 'used' }), tokenWith({ id: 'other' })].map((text) => {
      cloud.registry.addToken(text)
      return { sha256: createHash('sha256').update(text).digest('hex') }
    })
    const region = await TriedRegion.make(asking, { token: used })
    const first = await region.claim()
    for (const each of Object.values(cloud.registry.records.regions)) each.state = state
    const again = await region.claim()
    const withOther = await region.claim({ token: other })
    assert.deepEqual([first.code, again.failure, withOther.code], [200, state, 200])
    assert.notEqual(withOther.body.id, first.body.id)
  })
}
