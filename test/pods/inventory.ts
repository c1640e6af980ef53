import type { Http } from '../cluster/index.ts'

/** Comes and goes by itself, or is a view of something else. */
const passing = new Set(['events', 'componentstatuses', 'endpoints', 'endpointslices'])

/** Every object that the API server lists, of every kind that it serves: `plural.group namespace/name`, with its uid. */
export async function inventoryOf(http: Http): Promise<Map<string, string>> {
  const { body: groups } = await http.get('/apis')
  const roots = ['/api/v1', ...groups.groups.map(({ preferredVersion }: GroupBody) => `/apis/${preferredVersion.groupVersion}`)]
  const found = new Map<string, string>()
  await Promise.all(
    roots.map(async (root) => {
      const { body } = await http.get(root)
      const kinds: ResourceBody[] = body.resources.filter(({ name, verbs }: ResourceBody) => verbs.includes('list') && !passing.has(name))
      const group = root.split('/').slice(2, -1).join('') // none for the core
      await Promise.all(
        kinds.map(async ({ name: plural }) => {
          const { body: list, status, text } = await http.get(`${root}/${plural}`)
          if (status !== 200) throw new Error(`${root}/${plural}: ${text}`)
          for (const { metadata } of list.items)
            found.set(`${[plural, group].filter(Boolean).join('.')} ${metadata.namespace ?? ''}/${metadata.name}`, metadata.uid)
        }),
      )
    }),
  )
  return found
}

type GroupBody = { preferredVersion: { groupVersion: string } }
type ResourceBody = { name: string; verbs: string[] }
