import * as z from 'zod'
import { formatBytes, parseBytes, parseMillicores } from '../../shared/kubernetes/quantity.ts'
import { wrongType } from './wording.ts'

/** A quantity of at least `least` bytes, normalized by `formatBytes`. */
function byteQuantity(least: string, why: string) {
  const leastBytes = parseBytes(least) ?? 0n
  const greatest = 1n << 60n
  return z
    .string(wrongType('must be a quantity of bytes as text, such as "4Gi"'))
    .superRefine((text, context) => {
      const bytes = parseBytes(text)
      if (bytes === undefined) context.addIssue('must be a quantity of bytes such as "4Gi", "64GiB" or "500M"')
      else if (bytes < leastBytes) context.addIssue(`must be at least ${least}: ${why}`)
      else if (bytes > greatest) context.addIssue('must be at most 1Ei')
    })
    .overwrite((text) => {
      const bytes = parseBytes(text)
      return bytes === undefined ? text : formatBytes(bytes)
    })
}

// In a size such as `4` or `100m` the suffix is missing. Kubernetes would accept it as four bytes, or a tenth of a byte.
/** Memory of one node, as text, normalized by `formatBytes`. */
export const memoryQuantity = byteQuantity('256Mi', 'CrateDB does not start with less. Is the suffix missing?')

/** The size of one volume, or a sum of them. */
export const storageQuantity = byteQuantity('1Gi', 'no smaller volume is of use to CrateDB. Is the suffix missing?')

/** Memory as a limit of many nodes together. */
export const memorySum = byteQuantity('256Mi', 'one node needs that much. Is the suffix missing?')

/**
 * An amount of processor, as a number of cores or as text. The result is a number of cores, since the operator calculates with it: `0.5`,
 * never `500m`.
 */
export const cpuQuantity = z
  .union([z.number(), z.string()], wrongType('must be a number of cores such as 2 or 0.5, or text such as "500m"'))
  .transform((given, context) => {
    const millicores = parseMillicores(given)
    if (millicores === undefined) context.addIssue('must be a number of cores such as 2 or 0.5, or text such as "500m"')
    else if (millicores === 0) context.addIssue('must be more than 0')
    else if (millicores > 1_000_000) context.addIssue('must be at most 1000 cores')
    return (millicores ?? 0) / 1000
  })
  .pipe(z.number())
