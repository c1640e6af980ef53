import { parse } from 'yaml'
import { isFailure } from '../client/failures.ts'
import { crateDbDefinition } from '../crds/index.ts'
import { isDiscovered } from '../discovered.ts'
import type { World } from './world.ts'

const definition = parse(crateDbDefinition)
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

/** Creates the CRD of CrateDB, unless the cluster has one. Resolves once discovery lists its objects. */
export async function installDefinition(world: World): Promise<void> {
  try {
    await world.cluster.request({ method: 'POST', path: definitions, body: definition })
  } catch (error) {
    if (!isFailure(error, 'already-exists')) throw error
  }
  const get = (path: string) => world.cluster.request({ method: 'GET', path }).catch(() => undefined)
  while (!(await isDiscovered(get, definition))) await world.clock.sleep(20)
}
