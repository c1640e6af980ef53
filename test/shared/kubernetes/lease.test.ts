import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Problem } from '../../../shared/errors.ts'
import { createLease, type Lease } from '../../../shared/kubernetes/lease.ts'
import { createLog } from '../../../shared/log.ts'
import { seeded } from '../../cluster/index.ts'
import { createFakeClock, type PausableClock } from '../fake-clock.ts'
import { fc } from '../property.ts'
import { createLeaseServer, type Trip } from './lease-server.ts'

const signal = new AbortController().signal
const config = { namespace: 'skerry', name: 'skerry-agent' }

function world() {
  const clock = createFakeClock()
  const server = createLeaseServer(clock)
  const lines: { msg: string; level: string }[] = []
  const log = createLog({ level: 'debug', name: 'test', destination: { write: (line) => lines.push(JSON.parse(line)) } })
  const contender = (holder: string, options: { trip?: () => Trip; random?: () => number; durationMs?: number } = {}) => {
    const own = clock.process()
    const { trip, random = () => 0.5, ...times } = options
    const lease = createLease({ ...config, holder, ...times }, { cluster: server.connect(own, trip), clock: own, log, random })
    const told: boolean[] = []
    lease.onChange((leads) => told.push(leads))
    return { lease, told, clock: own }
  }
  const stop = async (lease: Lease, graceMs = 5_000) => {
    const stopped = lease.stop(clock.monotonic() + graceMs)
    await clock.advance(graceMs)
    await stopped
  }
  return { clock, server, contender, stop, lines }
}

/** Says of every request that it gets through, or not, as set. */
function createLink() {
  const link = { up: true, trip: (): Trip => ({ thereMs: 0, backMs: 0, ...(!link.up && { lost: 'request' }) }) }
  return link
}

test('the first to come creates the Lease and leads, the second waits', async () => {
  const { clock, server, contender, stop } = world()
  const [a, b] = [contender('a'), contender('b')]
  await a.lease.start(signal)
  await clock.advance(0)
  await b.lease.start(signal)
  await clock.advance(59_000)
  assert.ok(a.lease.isLeader())
  assert.ok(!b.lease.isLeader())
  assert.deepEqual([a.told, b.told], [[true], []])
  assert.equal(b.lease.standing().holder, a.lease.identity)
  assert.match(a.lease.identity, /^a_[0-9a-f]{8}$/)
  const stored = server.stored()
  assert.equal(stored?.spec.holderIdentity, a.lease.identity)
  assert.equal(stored?.spec.leaseDurationSeconds, 15)
  assert.match(stored?.spec.renewTime ?? '', /^2026-01-01T00:00:58\.000000Z$/)
  assert.equal(stored?.metadata.labels?.['app.kubernetes.io/managed-by'], 'skerry')
  await Promise.all([stop(a.lease), stop(b.lease)])
})

test('a Lease that is given back is taken by the next in line at its next look', async () => {
  const { clock, server, contender, stop, lines } = world()
  const [a, b] = [contender('a'), contender('b')]
  await a.lease.start(signal)
  await clock.advance(0)
  await b.lease.start(signal)
  await clock.advance(10_000)
  await stop(a.lease, 5_000)
  assert.deepEqual(a.told, [true, false])
  assert.ok(b.lease.isLeader(), 'it did not take over within the time between two looks')
  assert.equal(server.stored()?.spec.leaseTransitions, 1)
  assert.ok(lines.some((line) => line.msg === 'lease released'))
  await stop(b.lease)
  assert.equal(server.stored()?.spec.holderIdentity, '')
})

test('a Lease that is given back is taken at once by whoever watches it', async () => {
  const { clock, contender, stop } = world()
  const [a, b] = [contender('a'), contender('b', { random: () => 0.999 })]
  await a.lease.start(signal)
  await clock.advance(0)
  await b.lease.start(signal)
  await clock.advance(10_000)
  await stop(a.lease, 100)
  assert.ok(b.lease.isLeader())
  await stop(b.lease)
})

for (const [how, fault, limitMs] of [
  ['who watches the Lease', undefined, 15_100],
  ['who may not watch it', new Problem('cluster-forbidden', 'leases is forbidden'), 15_000 + 2_000 * 2.2],
  ['whose watch breaks', new Problem('cluster-unreachable', 'ECONNRESET'), 15_000 + 2_000 * 2.2],
] as const)
  test(`a leader that is killed is succeeded within ${limitMs} ms by one ${how}, whenever that is`, async () => {
    for (let killedAt = 6_000; killedAt < 8_200; killedAt += 137) {
      const { clock, server, contender, stop } = world()
      server.watchFault = fault
      const trip = () => ({ thereMs: 10, backMs: 10 })
      const [a, b] = [contender('a', { trip }), contender('b', { trip, random: () => 0.999 })]
      await a.lease.start(signal)
      await clock.advance(50)
      await b.lease.start(signal)
      await clock.advance(killedAt)
      a.clock.pause()
      await clock.advance(10_000)
      assert.ok(!a.lease.isLeader() && !b.lease.isLeader())
      await clock.advance(limitMs - 10_000)
      assert.ok(b.lease.isLeader(), `killed at ${killedAt}`)
      a.clock.resume()
      await Promise.all([stop(a.lease), stop(b.lease)])
    }
  })

test('who leads in place of one that has died meanwhile knows that, and nobody else does', async () => {
  const { clock, contender, stop } = world()
  const led = async (...leases: { lease: Lease }[]) => {
    for (const { lease } of leases) await lease.start(signal)
    await clock.advance(40_000)
    return leases.map(({ lease }) => [lease.isLeader(), lease.hasSucceeded()])
  }
  const link = createLink()
  const [a, b] = [contender('a', link), contender('b')]
  assert.deepEqual(await led(a), [[true, false]])
  assert.deepEqual(await led(b), [[false, false]])
  link.up = false
  await clock.advance(30_000)
  assert.deepEqual([b.lease.isLeader(), b.lease.hasSucceeded()], [true, true])

  const c = contender('c')
  assert.deepEqual(await led(c), [[false, false]])
  await stop(b.lease)
  assert.deepEqual([c.lease.isLeader(), c.lease.hasSucceeded()], [true, false], 'it was released')

  c.clock.pause()
  await clock.advance(5_000)
  const d = contender('d')
  assert.deepEqual(await led(d), [[true, true]], 'it has died just before')
  d.clock.pause()
  await clock.advance(60_000)
  const e = contender('e')
  assert.deepEqual(await led(e), [[true, false]], 'nobody was alive when it came')
  await stop(e.lease)
})

test('a watch that the server ends in order is followed by another without a gap', async () => {
  const { clock, server, contender, stop } = world()
  const [a, b] = [contender('a'), contender('b', { random: () => 0.999 })]
  await a.lease.start(signal)
  await clock.advance(0)
  await b.lease.start(signal)
  await clock.advance(5_500)
  server.endWatches()
  await clock.advance(600) // a renewal at 6 s, and the next look at 8 s
  a.clock.pause()
  await clock.advance(14_950)
  assert.ok(b.lease.isLeader())
  a.clock.resume()
  await Promise.all([stop(a.lease), stop(b.lease)])
})

test('whoever never held the Lease does not touch it when it stops', async () => {
  const { clock, server, contender, stop } = world()
  const [a, b] = [contender('a'), contender('b')]
  await a.lease.start(signal)
  await clock.advance(0)
  await b.lease.start(signal)
  await clock.advance(5_000)
  const before = server.requests.length
  await stop(b.lease, 0)
  assert.deepEqual(server.requests.slice(before), [])
  await stop(a.lease)
})

test('a leader that vanished is succeeded once its time has passed as the next one saw it, not as the Lease says', async () => {
  const { clock, server, contender, stop } = world()
  const [a, b] = [contender('a'), contender('b', { random: () => 0 })]
  await a.lease.start(signal)
  await clock.advance(0)
  // Its clock is years behind: what it wrote must not be believed.
  server.edit((lease) => {
    lease.spec.renewTime = '2001-01-01T00:00:00.000000Z'
  })
  a.clock.pause()
  await b.lease.start(signal)
  await clock.advance(14_900)
  assert.ok(!b.lease.isLeader())
  await clock.advance(2_100)
  assert.ok(b.lease.isLeader())
  assert.equal(server.stored()?.spec.leaseTransitions, 1)
  a.clock.resume()
  await Promise.all([stop(a.lease), stop(b.lease)])
})

test('the time that its holder promised counts, not that of the one who waits', async () => {
  const { clock, contender, stop } = world()
  const [a, b] = [contender('a', { durationMs: 60_000 }), contender('b', { random: () => 0 })]
  await a.lease.start(signal)
  await clock.advance(0)
  a.clock.pause()
  await b.lease.start(signal)
  await clock.advance(59_000)
  assert.ok(!b.lease.isLeader())
  await clock.advance(4_000)
  assert.ok(b.lease.isLeader())
  a.clock.resume()
  await Promise.all([stop(a.lease), stop(b.lease)])
})

test('a dead holder that promised a day, renewed in 2099, is succeeded after four times our own duration, and said meanwhile', async () => {
  const { clock, server, contender, stop } = world()
  const [a, b] = [contender('a'), contender('b', { random: () => 0 })]
  await a.lease.start(signal)
  await clock.advance(0)
  a.clock.pause()
  server.edit((lease) => {
    lease.spec = {
      holderIdentity: 'agent-0_dead',
      leaseDurationSeconds: 86_400,
      renewTime: '2099-01-01T00:00:00.000000Z',
      leaseTransitions: 3,
    }
  })
  await b.lease.start(signal)
  await clock.advance(9_000)
  assert.deepEqual([b.lease.standing().state, b.lease.standing().trouble], ['leads', undefined], 'it may still live')
  await clock.advance(3_000)
  const { state, holder, trouble } = b.lease.standing()
  assert.deepEqual([state, holder], ['nobody', 'agent-0_dead'])
  assert.equal(
    trouble,
    'No replica leads: the Lease skerry/skerry-agent is held by agent-0_dead, which does not renew it. Another one takes it 60 s after the last renewal.',
  )
  await clock.advance(47_000)
  assert.ok(!b.lease.isLeader())
  await clock.advance(4_000)
  assert.ok(b.lease.isLeader())
  assert.deepEqual([b.lease.standing().state, b.lease.standing().trouble], ['leads', undefined])
  a.clock.resume()
  await Promise.all([stop(a.lease), stop(b.lease)])
})

test('who cannot read the Lease does not claim that nobody leads', async () => {
  const { clock, contender, stop } = world()
  const link = createLink()
  const [a, b] = [contender('a'), contender('b', link)]
  await a.lease.start(signal)
  await clock.advance(0)
  await b.lease.start(signal)
  await clock.advance(5_000)
  assert.equal(b.lease.standing().state, 'leads')
  link.up = false
  await clock.advance(60_000)
  assert.equal(b.lease.standing().state, 'unknown')
  assert.equal(
    b.lease.standing().trouble,
    'Whether a replica leads is unknown: the Lease skerry/skerry-agent could not be read: no answer within 5000 ms',
  )
  await Promise.all([stop(a.lease), stop(b.lease)])
})

test('a leader whose renewals fail steps down at the deadline, before anyone can succeed it', async () => {
  const { clock, contender, stop, lines } = world()
  const link = createLink()
  const [a, b] = [contender('a', link), contender('b', { random: () => 0 })]
  await a.lease.start(signal)
  await clock.advance(0)
  await b.lease.start(signal)
  await clock.advance(3_000)
  link.up = false // last renewed at 2 s
  await clock.advance(8_999)
  assert.ok(a.lease.isLeader())
  await clock.advance(1)
  assert.ok(!a.lease.isLeader())
  assert.deepEqual(a.told, [true, false], 'it told on time, though a request hangs')
  assert.ok(!b.lease.isLeader())
  assert.equal(lines.filter((line) => line.msg === 'lease cannot be reached').length, 1)
  await clock.advance(7_000)
  assert.ok(b.lease.isLeader())
  link.up = true
  await clock.advance(10_000)
  assert.deepEqual(a.told, [true, false])
  assert.equal(a.lease.standing().holder, b.lease.identity)
  await Promise.all([stop(a.lease), stop(b.lease)])
})

test('a leader that lost touch leads again when it is back before anyone took over, and tells of the gap', async () => {
  const { clock, contender, stop } = world()
  const link = createLink()
  const { lease, told } = contender('a', link)
  await lease.start(signal)
  await clock.advance(2_500)
  link.up = false
  await clock.advance(12_000)
  link.up = true
  await clock.advance(5_000)
  assert.ok(lease.isLeader())
  assert.deepEqual(told, [true, false, true])
  await stop(lease)
})

test('a leader that was paused knows that its time ran out as soon as it is asked', async () => {
  const { clock, contender, stop } = world()
  const { lease, told, clock: own } = contender('a')
  await lease.start(signal)
  await clock.advance(0)
  own.pause()
  await clock.advance(10_000)
  own.resume()
  assert.equal(lease.isLeader(), false) // nothing else has run yet
  await clock.advance(0)
  assert.ok(lease.isLeader(), 'nobody took it meanwhile')
  assert.deepEqual(told, [true, false, true])
  await stop(lease)
})

test('a renewal counts from when it was sent: one that is heard of late does not make a leader again', async () => {
  const { clock, contender, stop } = world()
  const [a, b] = [contender('a', { trip: () => ({ thereMs: 10, backMs: 10 }) }), contender('b', { random: () => 0 })]
  await a.lease.start(signal)
  await clock.advance(100)
  await b.lease.start(signal)
  await clock.advance(1_952) // sent at 2040 ms: the renewal has been done, its answer is on the way
  a.clock.pause()
  await clock.advance(20_000)
  assert.ok(b.lease.isLeader())
  const ledAgain: boolean[] = []
  a.lease.onChange((leads) => ledAgain.push(leads))
  a.clock.resume()
  await clock.advance(1_000)
  assert.ok(!ledAgain.includes(true))
  assert.ok(b.lease.isLeader())
  await Promise.all([stop(a.lease), stop(b.lease)])
})

test('a renewal that arrives while the Lease is given back does not keep it', async () => {
  const { clock, server, contender, stop } = world()
  let thereMs = 0
  const { lease } = contender('a', { trip: () => ({ thereMs, backMs: 0 }) })
  await lease.start(signal)
  await clock.advance(1_999)
  thereMs = 15
  await clock.advance(1) // a renewal is on its way for 15 ms
  thereMs = 10 // the first look arrives before it, the write that gives the Lease back after it
  await stop(lease)
  assert.equal(server.stored()?.spec.holderIdentity, '')
  assert.deepEqual(server.requests.slice(-5), ['PUT', 'GET', 'PUT', 'GET', 'PUT'])
})

test('a machine that was suspended, which only its wall clock shows, does not lead when it wakes', async () => {
  const { clock, contender, stop } = world()
  const { lease, told } = contender('a')
  await lease.start(signal)
  await clock.advance(3_000)
  clock.jump(60_000)
  assert.equal(lease.isLeader(), false)
  await clock.advance(5_000)
  assert.ok(lease.isLeader())
  assert.deepEqual(told, [true, false, true], 'whoever asked in between saw a gap, so the others hear of it')
  clock.jump(-3_600_000)
  await clock.advance(5_000)
  assert.ok(lease.isLeader(), 'a clock set back does not matter')
  await stop(lease)
})

test('someone else who takes the Lease by hand is obeyed at the next renewal', async () => {
  const { clock, server, contender, stop } = world()
  const { lease, told } = contender('a')
  await lease.start(signal)
  await clock.advance(1_000)
  server.edit(({ spec }) => {
    spec.holderIdentity = 'operator'
  })
  await clock.advance(2_000)
  assert.deepEqual(told, [true, false])
  assert.equal(lease.standing().holder, 'operator')
  await stop(lease)
  assert.equal(server.stored()?.spec.holderIdentity, 'operator')
})

test('a label that somebody adds neither ends the leadership nor counts as a renewal', async () => {
  const { clock, server, contender, stop } = world()
  const [a, b] = [contender('a'), contender('b', { random: () => 0 })]
  await a.lease.start(signal)
  await clock.advance(0)
  await b.lease.start(signal)
  server.edit(({ metadata }) => {
    metadata.labels = { ...metadata.labels, team: 'sea' }
  })
  await clock.advance(5_000)
  assert.deepEqual(a.told, [true])
  assert.equal(server.stored()?.metadata.labels?.team, 'sea')
  a.clock.pause()
  for (let i = 0; i < 20; i++) {
    server.edit(({ metadata }) => {
      metadata.labels = { ...metadata.labels, count: String(i) }
    })
    await clock.advance(1_000)
  }
  assert.ok(b.lease.isLeader())
  a.clock.resume()
  await Promise.all([stop(a.lease), stop(b.lease)])
})

test('a Lease that is deleted while its holder leads is not taken by those who saw it held', async () => {
  const { clock, server, contender, stop } = world()
  const [a, b] = [contender('a'), contender('b', { random: () => 0 })]
  await a.lease.start(signal)
  await clock.advance(0)
  await b.lease.start(signal)
  await clock.advance(1_900)
  server.delete()
  await clock.advance(10_000)
  assert.ok(a.lease.isLeader())
  assert.ok(!b.lease.isLeader())
  await Promise.all([stop(a.lease), stop(b.lease)])
})

test('a renewal whose answer is lost is found on the next look, and the Lease is given back all the same', async () => {
  const { clock, server, contender, stop } = world()
  let lose = false
  const { lease, told } = contender('a', { trip: () => ({ thereMs: 5, backMs: 5, ...(lose && { lost: 'answer' }) }) })
  await lease.start(signal)
  await clock.advance(100)
  lose = true
  await clock.advance(3_000)
  lose = false
  await clock.advance(6_000)
  assert.ok(lease.isLeader())
  assert.deepEqual(told, [true])
  lose = true
  await clock.advance(1_000)
  lose = false
  await stop(lease)
  assert.equal(server.stored()?.spec.holderIdentity, '')
})

test('a cluster that is away when it starts does not hold up the start', async () => {
  const { clock, contender, stop } = world()
  const link = createLink()
  link.up = false
  const { lease } = contender('a', link)
  await lease.start(signal)
  await clock.advance(30_000)
  assert.ok(!lease.isLeader())
  link.up = true
  await clock.advance(10_000)
  assert.ok(lease.isLeader())
  await stop(lease)
})

test('giving the Lease back does not take longer than the deadline', async () => {
  const { clock, contender, lines } = world()
  const link = createLink()
  const { lease } = contender('a', link)
  await lease.start(signal)
  await clock.advance(100)
  link.up = false
  let stopped = false
  void lease.stop(clock.monotonic() + 1_000).then(() => {
    stopped = true
  })
  await clock.advance(1_000)
  assert.ok(stopped)
  assert.ok(!lease.isLeader())
  assert.ok(lines.some((line) => line.msg === 'lease could not be released, others wait for it to expire'))
})

test('times that cannot work are refused', () => {
  const { clock, server } = world()
  const log = createLog({ level: 'silent', name: 'test' })
  const create = (times: object) => createLease({ ...config, holder: 'a', ...times }, { cluster: server.connect(clock), clock, log })
  for (const times of [{ durationMs: 10_000 }, { durationMs: 15_500 }, { renewDeadlineMs: 2_000 }])
    assert.throws(() => create(times), RangeError)
})

type Step =
  | { do: 'pause' | 'resume' | 'cut' | 'mend' | 'stop' | 'start' | 'kill'; who: number }
  | { do: 'freeze'; who: number; ms: number }
  | { do: 'wait'; ms: number }

const who = fc.nat(2)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 12_000 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('freeze' as const), who, ms: fc.integer({ min: 8_000, max: 40_000 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const, 'cut' as const, 'mend' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('stop' as const, 'start' as const, 'kill' as const), who }) },
)

test('whatever pauses, cuts, deaths and restarts, no two ever lead at once, and afterwards one does', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), fc.integer(), (steps, seed) => simulate(steps, seeded(seed))),
    { numRuns: 40 },
  )
})

/** Three replicas under changing circumstances. Who leads is asked at every wake-up of anything, and in between. */
async function simulate(steps: readonly Step[], random: () => number): Promise<void> {
  const clock = createFakeClock()
  const server = createLeaseServer(clock)
  const log = createLog({ level: 'silent', name: 'test' })
  const history: string[] = []
  const all: Lease[] = []
  type Replica = { lease: Lease; own: PausableClock; link: { up: boolean } } | undefined
  let isCalm = false
  const replicas: Replica[] = [undefined, undefined, undefined]

  const violations: string[] = []
  const look = () => {
    const leaders = all.filter((lease) => lease.isLeader()).map((lease) => lease.identity)
    if (leaders.length > 1) violations.push(`${clock.monotonic()} ${leaders.join(' and ')} lead at once`)
  }
  const check = () => {
    look()
    assert.deepEqual(violations, [], history.join('\n'))
  }
  const begin = async (index: number) => {
    const own = clock.process()
    const link = { up: true }
    const trip = (): Trip => {
      if (isCalm) return { thereMs: 10, backMs: 10 }
      const lost = !link.up ? 'request' : random() < 0.1 ? (random() < 0.5 ? 'request' : 'answer') : undefined
      return { thereMs: Math.floor(random() ** 4 * 8_000), backMs: Math.floor(random() ** 4 * 8_000), ...(lost && { lost }) }
    }
    const lease = createLease(
      { ...config, holder: 'abc'[index] as string },
      { cluster: server.connect(own, trip), clock: own, log, random },
    )
    lease.onChange((leads) => {
      history.push(`${clock.monotonic()} ${lease.identity} ${leads ? 'leads' : 'does not lead'}`)
      look() // not an assertion: what a listener throws is caught
    })
    all.push(lease)
    replicas[index] = { lease, own, link }
    await lease.start(signal)
  }
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 500) {
      await clock.advance(Math.min(left, 500))
      check()
    }
  }

  for (const index of [0, 1, 2]) await begin(index)
  for (const each of steps) {
    history.push(`${clock.monotonic()} ${JSON.stringify(each)}`)
    if (each.do === 'wait') await pass(each.ms)
    else {
      const replica = replicas[each.who]
      if (each.do === 'start' && replica === undefined) await begin(each.who)
      if (replica === undefined) continue
      if (each.do === 'pause') replica.own.pause()
      if (each.do === 'freeze') {
        replica.own.pause()
        await pass(each.ms)
        replica.own.resume()
      }
      if (each.do === 'resume') replica.own.resume()
      if (each.do === 'cut') replica.link.up = false
      if (each.do === 'mend') replica.link.up = true
      if (each.do === 'stop' || each.do === 'kill') {
        // Killed: paused for ever. Its writes may still be under way.
        if (each.do === 'kill') replica.own.pause()
        else void replica.lease.stop(clock.monotonic() + 5_000)
        replicas[each.who] = undefined
      }
      check()
    }
  }
  for (const [index, replica] of replicas.entries()) {
    if (replica === undefined) await begin(index)
    else {
      replica.own.resume()
      replica.link.up = true
    }
  }
  isCalm = true
  await pass(60_000)
  const leaders = replicas.filter((replica) => replica?.lease.isLeader())
  assert.equal(leaders.length, 1, `nobody leads\n${history.join('\n')}`)
  for (const replica of replicas) void replica?.lease.stop(clock.monotonic() + 5_000)
  await pass(20_000)
}
