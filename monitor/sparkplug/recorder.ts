import type { Clock } from '../../shared/clock.ts'
import type { LinkProfile } from '../../shared/link/index.ts'
import type { Change, ChangeBuffer } from './buffer.ts'
import type { SparkplugCounters } from './counters.ts'
import type { Deadband, Deadbands, MetricClass } from './deadbands.ts'
import { quality } from './payload.ts'
import { type Profile, profiles } from './profiles.ts'
import { isReportable } from './report.ts'
import type { Owner, Sample, TrackedMetric } from './tracked-metric.ts'

/** When a change is sent: see config.ts. */
export type RecorderSettings = { maxSilenceMs: number; deadbands: Deadbands }

type RecorderParts = {
  buffer: ChangeBuffer
  counters: SparkplugCounters
  /** What the budget of the link asks for; always normal when left out. */
  profile?: (() => LinkProfile) | undefined
  clock: Clock
}

/** Stores samples in the metrics of the model, and those that are changes in the buffer. */
export class Recorder {
  readonly #settings: Readonly<Record<LinkProfile, RecorderSettings>>
  readonly #parts: RecorderParts
  /** While false, changes are not kept: another replica publishes them. */
  isRecording = true

  constructor(settings: RecorderSettings, parts: RecorderParts) {
    this.#settings = {
      normal: settings,
      metered: thriftierSettings(settings, profiles.metered),
      critical: thriftierSettings(settings, profiles.critical),
    }
    this.#parts = parts
  }

  /** Puts the present value of a metric into the buffer. */
  record(owner: Owner, metric: TrackedMetric): void {
    const { name, value, timestamp, quality: code } = metric
    metric.reported = { value, quality: code, timestamp, at: this.#parts.clock.monotonic() }
    metric.changeIndex = this.#append(owner, { name, value, timestamp, quality: code })
  }

  /** Stores a sample in its metric, and in the buffer if it is a change. */
  take(owner: Owner, metric: TrackedMetric, { value, timestamp: given, quality: code = quality.good }: Sample): void {
    const { clock } = this.#parts
    // A clock that is set back must not turn every new value into history.
    const timestamp = given ?? Math.max(clock.now(), metric.timestamp)
    if (timestamp < metric.timestamp) {
      // It came late: history, not the present value, even where the present value is unknown.
      this.#append(owner, { name: metric.name, value, timestamp, quality: code, isLate: true })
      return
    }
    metric.value = value
    metric.timestamp = timestamp
    metric.quality = code
    const { maxSilenceMs, deadbands } = this.#settings[this.#parts.profile?.() ?? 'normal']
    const limits = metric.class && deadbands[metric.class]
    const leaders = metric.goesWith?.map((name) => owner.metrics.get(name)?.reported.at ?? Number.NEGATIVE_INFINITY) ?? []
    if (isReportable(metric, { maxSilenceMs, now: clock.monotonic(), limits, leaderAt: Math.max(...leaders) })) this.record(owner, metric)
  }

  /** @returns the index of the change; -1 if it was not kept */
  #append(owner: Owner, change: Omit<Change, 'device'>): number {
    const { buffer, counters } = this.#parts
    if (!this.isRecording) return -1
    const index = buffer.append({ device: owner.id, ...change })
    owner.lastIndex = index
    counters.buffer.length = buffer.end - buffer.start
    counters.buffer.dropped = buffer.dropped
    return index
  }
}

/** Of settings and a profile, the one that sends less, field by field. Metrics without a class, such as states, are sent as before. */
function thriftierSettings({ maxSilenceMs, deadbands }: RecorderSettings, profile: Profile): RecorderSettings {
  const larger = (one: number | undefined, other: number | undefined) => Math.max(one ?? 0, other ?? 0)
  const wider = (one: Deadband, other: Deadband): Deadband => ({
    absolute: larger(one.absolute, other.absolute),
    relative: larger(one.relative, other.relative),
    atMostEveryMs: larger(one.atMostEveryMs, other.atMostEveryMs),
  })
  const classes = Object.keys(deadbands) as MetricClass[]
  return {
    maxSilenceMs: Math.max(maxSilenceMs, profile.maxSilence),
    deadbands: Object.fromEntries(classes.map((name) => [name, wider(deadbands[name], profile.deadbands[name])])) as Deadbands,
  }
}
