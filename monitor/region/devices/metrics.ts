import type { SparkplugMetric } from '../../sparkplug/model.ts'

// Metrics of the few shapes that all devices have. What is unknown is null.

export function text(name: string, value: string | null | undefined, description: string): SparkplugMetric {
  return { name, datatype: 'String', value: value === '' ? null : (value ?? null), description }
}

export function flag(name: string, value: boolean | null, description: string): SparkplugMetric {
  return { name, datatype: 'Boolean', value, description }
}

/** A number of things. `high` is the most it can be, if there is such a number. */
export function count(name: string, value: number | null, description: string, high?: number): SparkplugMetric {
  return { name, datatype: 'UInt32', value, low: 0, ...(high !== undefined && { high }), description }
}

export function bytes(name: string, value: number | null, description: string, high?: number): SparkplugMetric {
  return { name, datatype: 'UInt64', value, unit: 'B', low: 0, ...(high !== undefined && { high }), description }
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
