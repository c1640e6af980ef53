import { isProblem } from '../../../shared/errors.ts'

/** Undefined where the CRD or the permission is missing after an upgrade by hand. */
export async function unlessNotServed<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request
  } catch (error) {
    if (isProblem(error, 'not-served', 'cluster-forbidden')) return undefined
    throw error
  }
}
