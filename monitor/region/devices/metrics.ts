import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'

// Metrics of the few shapes that all devices have. What is unknown is null.

export function text(name: string, value: string | null | undefined, description: string): SparkplugMetric {
  return { name, datatype: 'String', value: value === '' ? null : (value ?? null), description }
}

export function flag(name: string, value: boolean | null, description: string): SparkplugMetric {
  return { name, datatype: 'Boolean', value, description }
}

/** A number of things, at most what 32 bits hold. `high` is the most it can be, if there is such a number. */
export function count(name: string, value: number | null, description: string, high?: number): SparkplugMetric {
  return { name, datatype: 'UInt32', ...within(2 ** 32 - 1, value, high), description }
}

/** A size, at most what a number holds exactly. */
export function bytes(name: string, value: number | null, description: string, high?: number): SparkplugMetric {
  return { name, datatype: 'UInt64', unit: 'B', ...within(Number.MAX_SAFE_INTEGER, value, high), description }
}

/**
 * Quantities come from whoever may write to the cluster, and so large ones, or the sum of them, no metric can carry: it is the largest then.
 * A sum of which so much was taken away again may have come out below nought.
 */
function within(most: number, value: number | null, high: number | undefined): Pick<SparkplugMetric, 'value' | 'low' | 'high'> {
  const clamp = (given: number) => Math.min(most, Math.max(0, given))
  return { value: value === null ? null : clamp(value), low: 0, ...(high !== undefined && { high: clamp(high) }) }
}

/** An amount of processor: given in thousandths of a core, published in cores. */
export function cores(name: string, millicores: number | null, description: string, high?: number): SparkplugMetric {
  const value = millicores === null ? null : millicores / 1000
  return { name, datatype: 'Double', value, unit: 'cores', low: 0, ...(high !== undefined && { high: high / 1000 }), description }
}

/** Unix milliseconds. */
export function moment(name: string, value: number | null | undefined, description: string): SparkplugMetric {
  return { name, datatype: 'DateTime', value: value ?? null, description }
}
