import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { isProblem } from '../../../shared/errors.ts'
import { pathOf } from '../../../shared/kubernetes/objects.ts'
import type { World } from './world.ts'

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

/** Makes the API server serve CrateDB objects, if it does not yet. Resolves once it does. */
export async function installDefinition(world: World): Promise<void> {
  const definition = parse(await readFile(new URL('../crds/cratedbs.yaml', import.meta.url), 'utf8'))
  try {
    await world.cluster.request({ method: 'POST', path: definitions, body: definition })
  } catch (error) {
    if (!isProblem(error, 'already-exists')) throw error
  }
  while (!(await isServed(world))) await world.clock.sleep(20)
}

async function isServed({ cluster, kinds }: World): Promise<boolean> {
  try {
    await cluster.request({ method: 'GET', path: pathOf(kinds.CrateDB), query: { limit: 1 } })
    return true
  } catch (error) {
    if (isProblem(error, 'not-served')) return false
    throw error
  }
}
