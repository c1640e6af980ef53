import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'

// The few shapes that the metrics of all devices have. An unknown value is null.

/** A text. An empty one is unknown. */
export function text(name: string, value: string | null | undefined, description: string): SparkplugMetric {
  return { name, datatype: 'String', value: value === '' ? null : (value ?? null), description }
}

/** Yes or no. */
export function flag(name: string, value: boolean | null, description: string): SparkplugMetric {
  return { name, datatype: 'Boolean', value, description }
}

/** A number of things, bounded by 31 bits. `high`: its greatest possible value, if there is one. */
export function count(name: string, value: number | null, description: string, high?: number): SparkplugMetric {
  return { name, datatype: 'Int32', ...within(2 ** 31 - 1, value, high), description }
}

/** A size in bytes, bounded by the greatest number that is exact. */
export function bytes(name: string, value: number | null, description: string, high?: number): SparkplugMetric {
  return { name, datatype: 'Int64', unit: 'B', ...within(Number.MAX_SAFE_INTEGER, value, high), description }
}

/**
 * Anybody who may write to the cluster can name quantities that no metric can carry, alone or in sum; the metric then has its greatest
 * value. A sum from which such quantities were subtracted again may be below zero.
 */
function within(most: number, value: number | null, high: number | undefined): Pick<SparkplugMetric, 'value' | 'low' | 'high'> {
  const clamp = (given: number) => Math.min(most, Math.max(0, given))
  return { value: value === null ? null : clamp(value), low: 0, ...(high !== undefined && { high: clamp(high) }) }
}

/** An amount of CPU: given in thousandths of a core, published in cores. */
export function cores(name: string, millicores: number | null, description: string, high?: number): SparkplugMetric {
  const value = millicores === null ? null : millicores / 1000
  return { name, datatype: 'Double', value, unit: 'cores', low: 0, ...(high !== undefined && { high: high / 1000 }), description }
}

/** A time in Unix milliseconds. */
export function moment(name: string, value: number | null | undefined, description: string): SparkplugMetric {
  return { name, datatype: 'DateTime', value: value ?? null, description }
}

/** Bytes of the link, which change with each message about them. */
export function ofLink(metric: SparkplugMetric): SparkplugMetric {
  return { ...metric, class: 'link' }
}

/** A sum over pods, which come and go although nothing happens. */
export function requested(metric: SparkplugMetric): SparkplugMetric {
  return { ...metric, class: 'requested' }
}
