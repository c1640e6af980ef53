import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { isProblem } from '../../../shared/errors.ts'
import { isDiscovered } from '../discovered.ts'
import type { World } from './world.ts'

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

/** Makes the API server serve CrateDB objects, if it does not yet. Resolves once discovery tells of them. */
export async function installDefinition(world: World): Promise<void> {
  const definition = parse(await readFile(new URL('../crds/cratedbs.yaml', import.meta.url), 'utf8'))
  try {
    await world.cluster.request({ method: 'POST', path: definitions, body: definition })
  } catch (error) {
    if (!isProblem(error, 'already-exists')) throw error
  }
  const get = (path: string) => world.cluster.request({ method: 'GET', path }).catch(() => undefined)
  while (!(await isDiscovered(get, definition))) await world.clock.sleep(20)
}
