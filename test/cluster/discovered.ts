import type { Body } from './client/http.ts'

/**
 * Whether discovery lists the objects of a CRD. A real API server serves them a little earlier, but not completely: a creation may still
 * fail, kubectl does not know the kind, and controllers skip it.
 *
 * @param get returns the parsed answer of a path; undefined if the request fails
 */
export async function isDiscovered(get: (path: string) => Promise<Body | undefined>, { spec }: Body): Promise<boolean> {
  const { group, versions, names } = spec
  const list = await get(`/apis/${group}/${versions[0].name}`)
  if (!list?.resources?.some(({ name }: Body) => name === names.plural)) return false
  return Boolean((await get('/apis'))?.groups?.some(({ name }: Body) => name === group))
}
