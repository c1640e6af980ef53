import type { Check, CheckStatus, Prober } from '../../prober/check.ts'
import type { SmallestLimit } from '../../sparkplug/smallest-limit.ts'
import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import { partKey, partOf, partsNeeded, type Weight, weightOf } from './check-parts.ts'
import { checkMetrics, summaryMetrics } from './checks.ts'
import type { DeviceFamily } from './family.ts'
import { count } from './metrics.ts'

type Group = {
  name: string
  statuses: Map<string, CheckStatus>
  /** How many devices it has: 1, or more if its birth would be larger than a server takes. */
  parts: number
  /** The bytes of its checks when `parts` was last looked at, and those of checks that came since. */
  judgedBytes: number
  newBytes: number
}

/** A group is looked at again when it has grown by this share: to look at it takes as long as it is large. */
const growth = 0.05

/** The groups of checks and their devices. */
class CheckGroups {
  readonly #limit: SmallestLimit
  readonly #groups = new Map<string, Group>()
  /** The devices of all groups by their keys, also those of parts that have no checks at present. */
  readonly #devices = new Map<string, { group: Group; part: number }>()
  readonly #weights = new WeakMap<Check, Weight>()

  constructor(limit: SmallestLimit) {
    this.#limit = limit
  }

  /** @returns the devices whose set of checks changes: that of the check, or all of its group if that needs more parts */
  add(status: CheckStatus): string[] {
    const { name, group } = status.check
    let found = this.#groups.get(group)
    if (found === undefined) {
      found = { name: group, statuses: new Map(), parts: 1, judgedBytes: 0, newBytes: 0 }
      this.#groups.set(group, found)
      this.#devices.set(group, { group: found, part: 0 })
    }
    const isNew = found.statuses.get(name)?.check !== status.check
    found.statuses.set(name, status)
    if (isNew && this.#limit.bytes !== undefined) found.newBytes += this.#weightOf(status.check).bytes
    return found.newBytes > found.judgedBytes * growth && this.#split(found) ? this.#keysOf(found) : this.keysOf(status.check)
  }

  /** @returns the devices that change */
  remove(check: Check): string[] {
    const group = this.#groups.get(check.group)
    const keys = group === undefined ? [] : this.keysOf(check)
    group?.statuses.delete(check.name)
    if (group?.statuses.size === 0) this.#groups.delete(check.group)
    return keys
  }

  /** The device of a check, and that of the summary of its group. */
  keysOf(check: Check): string[] {
    const { parts = 1 } = this.#groups.get(check.group) ?? {}
    return [...new Set([partKey(check.group, this.#partOf(check, parts)), check.group])]
  }

  /** Splits the groups that are larger than a new limit. @returns the devices that change */
  splitAll(): string[] {
    return [...this.#groups.values()].filter((group) => this.#split(group)).flatMap((group) => this.#keysOf(group))
  }

  /** All devices. */
  keys(): string[] {
    return [...this.#groups.values()].flatMap((group) => this.#keysOf(group)).filter((key) => this.metrics(key) !== undefined)
  }

  /** All metrics of a device; undefined if it has no checks. */
  metrics(key: string): SparkplugMetric[] | undefined {
    const device = this.#devices.get(key)
    if (device === undefined || !this.#groups.has(device.group.name)) return undefined
    const { group, part } = device
    const inPart = [...group.statuses.values()].filter(({ check }) => this.#partOf(check, group.parts) === part)
    const ofChecks = inPart.flatMap(checkMetrics)
    if (part > 0) return inPart.length === 0 ? undefined : ofChecks
    return [...summaryMetrics(group.statuses.values()), ...this.#divisionOf(group), ...ofChecks]
  }

  /** What one check contributes to a device: its metrics, the summary, or both. */
  metricsOf(key: string, name: string): SparkplugMetric[] {
    const device = this.#devices.get(key)
    const status = device?.group.statuses.get(name)
    if (device === undefined || status === undefined) return []
    const { group, part } = device
    const own = this.#partOf(status.check, group.parts) === part ? checkMetrics(status) : []
    return part === 0 ? [...summaryMetrics(group.statuses.values()), ...own] : own
  }

  #keysOf({ name, parts }: Group): string[] {
    return Array.from({ length: parts }, (_, part) => partKey(name, part))
  }

  /** @returns whether the group has more parts now */
  #split(group: Group): boolean {
    const limit = this.#limit.bytes
    if (limit === undefined) return false
    const weights = [...group.statuses.values()].map(({ check }) => this.#weightOf(check))
    group.judgedBytes = weights.reduce((sum, { bytes }) => sum + bytes, 0)
    group.newBytes = 0
    const parts = partsNeeded(weights, limit, group.parts)
    if (parts === group.parts) return false
    group.parts = parts
    for (const [part, key] of this.#keysOf(group).entries()) this.#devices.set(key, { group, part })
    return true
  }

  /** Only a group of several devices says how many it has. */
  #divisionOf({ parts, statuses }: Group): SparkplugMetric[] {
    if (parts === 1) return []
    const used = new Set([0, ...statuses.values().map(({ check }) => this.#partOf(check, parts))])
    return [count('Summary/Devices', used.size, 'Devices that the checks of the group are divided among')]
  }

  /** Without parts there is nothing to weigh. */
  #partOf(check: Check, parts: number): number {
    return parts === 1 ? 0 : partOf(this.#weightOf(check), parts)
  }

  #weightOf(check: Check): Weight {
    const known = this.#weights.get(check) ?? weightOf(check)
    this.#weights.set(check, known)
    return known
  }
}

/**
 * One device for each group of checks, or several if one would be larger than a server takes. A run of one check updates its own metrics and
 * the summary, not the whole group.
 */
export function checkDevices(prober: Pick<Prober, 'statuses' | 'subscribe'>, limit: SmallestLimit): DeviceFamily {
  const groups = new CheckGroups(limit)
  /** Each check as it was born, with its properties. */
  const checks = new Map<string, Check>()
  const add = (status: CheckStatus): string[] => {
    checks.set(status.check.name, status.check)
    return groups.add(status)
  }
  const remove = (check: Check): string[] => {
    checks.delete(check.name)
    return groups.remove(check)
  }

  return {
    kind: 'checks',
    sources: ['prober'],
    keys() {
      for (const status of prober.statuses()) add(status)
      return groups.keys()
    },
    metrics: (key) => groups.metrics(key),
    part: (key, name) => groups.metricsOf(key, name),
    follow(touch) {
      const forget = [
        limit.onChange(() => {
          for (const key of groups.splitAll()) touch(key)
        }),
        prober.subscribe(({ type, status }) => {
          const { check } = status
          const known = checks.get(check.name)
          const hasMoved = known !== undefined && known.group !== check.group
          const left = type === 'removed' ? remove(known ?? check) : hasMoved ? remove(known) : []
          const changed = type === 'removed' ? [] : add(status)
          const isSame = type !== 'removed' && known === check
          for (const key of new Set([...changed, ...left])) touch(key, isSame ? check.name : undefined)
        }),
      ]
      return () => {
        for (const end of forget) end()
      }
    },
  }
}
