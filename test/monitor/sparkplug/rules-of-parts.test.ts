import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sparkplugConfig } from '../../../monitor/sparkplug/config.ts'
import { isReportable } from '../../../monitor/sparkplug/report.ts'
import { createSequence } from '../../../monitor/sparkplug/sequence.ts'
import { createHostState } from '../../../monitor/sparkplug/state.ts'
import { idFault } from '../../../monitor/sparkplug/topics.ts'

const now = Date.UTC(2026, 5, 1)
const state = (online: unknown, timestamp: unknown) => JSON.stringify({ online, timestamp })
const stories: [name: string, heard: [payload: string, verdict: string][]][] = [
  [
    'the first online counts [tck-id-message-flow-edge-node-birth-publish-phid-wait-online] [tck-id-host-topic-phid-birth-payload]',
    [[state(true, 5), 'online']],
  ],
  ['the first offline counts as it stands [tck-id-host-topic-phid-death-payload]', [[state(false, 5), 'offline']]],
  [
    'equal times are current: a host has one time in will and birth [tck-id-message-flow-edge-node-birth-publish-phid-wait-timestamp] [tck-id-host-topic-phid-birth-payload-timestamp] [tck-id-host-topic-phid-death-payload-timestamp-connect]',
    [
      [state(false, 5), 'offline'],
      [state(true, 5), 'online'],
      [state(false, 5), 'offline'],
    ],
  ],
  [
    'an older online is not current',
    [
      [state(false, 9), 'offline'],
      [state(true, 8), 'outdated'],
    ],
  ],
  [
    'an older offline is left behind by an earlier connection [tck-id-operational-behavior-edge-node-termination-host-offline-timestamp]',
    [
      [state(true, 9), 'online'],
      [state(false, 8), 'outdated'],
      [state(false, 10), 'offline'],
    ],
  ],
  [
    'a clean leave has the time of leaving [tck-id-host-topic-phid-death-payload-timestamp-disconnect-clean]',
    [
      [state(true, 9), 'online'],
      [state(false, 20), 'offline'],
    ],
  ],
  [
    'no JSON, other types, nothing, and the old words are never online [tck-id-payloads-state-birth-payload] [tck-id-payloads-state-will-message-payload]',
    [
      ['ONLINE', 'invalid'],
      ['', 'invalid'],
      [state('true', 5), 'invalid'],
      [state(1, 5), 'invalid'],
      [state(true, '5'), 'invalid'],
      [state(true, 1.5), 'invalid'],
      [state(true, -1), 'invalid'],
      ['null', 'invalid'],
      ['[]', 'invalid'],
      [`${' '.repeat(5000)}${state(true, 5)}`, 'invalid'],
      [state(true, 5), 'online'],
    ],
  ],
  [
    'a time far ahead does not shut the true host out',
    [
      [state(true, now + 48 * 3600_000), 'invalid'],
      [state(true, 5), 'online'],
    ],
  ],
]
for (const [name, heard] of stories) {
  test(`STATE: ${name}`, () => {
    const host = createHostState()
    assert.deepEqual(
      heard.map(([payload]) => host.observe(Buffer.from(payload), now)),
      heard.map(([, verdict]) => verdict),
    )
  })
}

test('STATE that is no UTF-8 is none', () => assert.equal(createHostState().observe(Buffer.from([0xff, 0xfe]), now), 'invalid'))

test('times of one server mean nothing on another [tck-id-operational-behavior-host-application-multi-server-timestamp]', () => {
  const [a, b] = [createHostState(), createHostState()]
  a.observe(Buffer.from(state(true, 100)), now)
  assert.equal(b.observe(Buffer.from(state(true, 5)), now), 'online')
})

const ids: [id: string, fault: RegExp | undefined][] = [
  ['cluster-1', undefined],
  ['Küste/1', /"\/"/],
  ['a+b', /"\+"/],
  ['a#', /"#"/],
  ['', /empty/],
  ['a\u0000b', /control/],
  ['x'.repeat(201), /longer/],
  ['\ud800', /Unicode/],
]
for (const [id, fault] of ids) {
  test(`the id ${JSON.stringify(id.slice(0, 20))} is ${fault ? 'refused' : 'taken'} [tck-id-topic-structure-namespace-valid-group-id] [tck-id-topic-structure-namespace-valid-edge-node-id] [tck-id-topic-structure-namespace-valid-device-id] [tck-id-intro-group-id-chars] [tck-id-intro-edge-node-id-chars] [tck-id-intro-device-id-chars] [tck-id-intro-group-id-string] [tck-id-intro-edge-node-id-string] [tck-id-intro-device-id-string]`, () => {
    if (fault === undefined) assert.equal(idFault(id), undefined)
    else assert.match(idFault(id) ?? '', fault)
  })
}

test('the group STATE is refused, in the configuration already', () => {
  const parsed = sparkplugConfig.safeParse({ group: 'STATE', node: 'a/b', servers: [{ url: 'mqtt://u:p@h' }, { url: 'http://h' }] })
  assert.deepEqual(parsed.error?.issues.map(({ path }) => path.join('.')).sort(), ['group', 'node', 'servers.0.url', 'servers.1.url'])
})

test('a message that could not be handed over uses no number up', () => {
  const sequence = createSequence()
  const numbers: number[] = []
  const hand = (isTaken: boolean) => (seq: number) => isTaken && numbers.push(seq) > 0
  sequence.restart(hand(true))
  for (let round = 0; round < 300; round++) sequence.next(hand(round % 3 !== 0))
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => index % 256),
  )
})

const reported = { value: 10, quality: 192, at: 0 } as const
type Circumstances = Partial<Parameters<typeof isReportable>[1]>
const news: [name: string, now: Partial<Parameters<typeof isReportable>[0]>, at: number, expected: boolean, more?: Circumstances][] = [
  ['the same value is no news', { value: 10 }, 1, false],
  ['another value is', { value: 11 }, 1, true],
  ['a value within the deadband is not', { value: 12, deadband: 2 }, 1, false],
  ['a value beyond the deadband is', { value: 12.1, deadband: 2 }, 1, true],
  ['unknown is', { value: null, deadband: 100 }, 1, true],
  ['another quality is', { value: 10, quality: 500 }, 1, true],
  ['a value that is confirmed after the longest silence is', { value: 10 }, 100, true],
  ['the same count as bigint is not', { value: 10n }, 1, false],
  ['NaN is, whatever the deadband', { value: Number.NaN, deadband: 5 }, 1, true],
  ['infinity is', { value: Number.POSITIVE_INFINITY }, 1, true, { limits: { absolute: 5, relative: 0.5 } }],
  ['what exceeds the absolute deadband only is not', { value: 14 }, 1, false, { limits: { absolute: 1, relative: 0.5 } }],
  ['what exceeds the relative deadband only is not', { value: 16 }, 1, false, { limits: { absolute: 7, relative: 0.5 } }],
  ['what exceeds both is', { value: 16 }, 1, true, { limits: { absolute: 1, relative: 0.5 } }],
  ['what does not exceed the own deadband of the metric is not', { value: 16, deadband: 7 }, 1, false, { limits: { relative: 0.5 } }],
  ['a change too soon after the last one is not', { value: 99 }, 9, false, { limits: { atMostEveryMs: 10 } }],
  ['a change after that time is', { value: 99 }, 10, true, { limits: { atMostEveryMs: 10 } }],
  ['a change too soon is, if what it goes with has changed', { value: 99 }, 9, true, { limits: { atMostEveryMs: 10 }, leaderAt: 1 }],
  ['a change within the deadband is not even then', { value: 11 }, 9, false, { limits: { absolute: 1 }, leaderAt: 1 }],
  ['unknown is, however soon', { value: null }, 1, true, { limits: { atMostEveryMs: 10 } }],
  [
    'another text too soon is not',
    { value: 'b', reported: { value: 'a', quality: 192, at: 0 } },
    9,
    false,
    { limits: { atMostEveryMs: 10 } },
  ],
]
for (const [name, metric, at, expected, more] of news) {
  test(`report by exception: ${name}`, () => {
    assert.equal(
      isReportable({ value: 10, quality: 192, deadband: undefined, reported, ...metric }, { maxSilenceMs: 100, now: at, ...more }),
      expected,
    )
  })
}
