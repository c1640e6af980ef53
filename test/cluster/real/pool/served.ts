import { setTimeout as sleep } from 'node:timers/promises'
import { type Body, expectCode, type Http } from '../../client/http.ts'

const withinMs = 60_000

/** The groups that discovery lists, in their order. */
export async function servedGroups(http: Http): Promise<string> {
  const { groups } = expectCode(await http.get('/apis'), 200)
  return groups.map(({ name }: Body) => name).join(' ')
}

/**
 * Resolves once the API server serves these groups, and its caches hold what etcd holds: what is changed behind its back reaches the cache
 * of each kind by a watch.
 *
 * @param keys of etcd, whose kinds are looked at
 */
export async function untilServed(http: Http, groups: string, keys: string[]): Promise<void> {
  const kinds = new Set(keys.map(kindOf))
  const deadline = performance.now() + withinMs
  for (;;) {
    const behind = (await servedGroups(http)) === groups ? await behindEtcd(http, kinds) : ['discovery']
    if (behind.length === 0) return
    if (performance.now() > deadline) throw new Error(`an API server has not noticed what became of ${behind.join(', ')}`)
    await sleep(100)
  }
}

/** Kinds that etcd has under another name than their own; those of a CRD or of an aggregated group are below its group. */
const storedAs = new Map([
  ['controllers', 'replicationcontrollers'],
  ['ingress', 'ingresses'],
  ['minions', 'nodes'],
  ['podsecuritypolicy', 'podsecuritypolicies'],
  ['services/endpoints', 'endpoints'],
  ['services/specs', 'services'],
])

/** `pods` of `/registry/pods/harbour/tide`. */
function kindOf(key: string): string {
  const [, , first = '', second = ''] = key.split('/')
  return first.includes('.') ? second : (storedAs.get(first) ?? storedAs.get(`${first}/${second}`) ?? first)
}

/** Those of the kinds whose cache differs from etcd. */
async function behindEtcd(http: Http, kinds: Set<string>): Promise<string[]> {
  const behind: string[] = []
  for (const path of await listedPaths(http, kinds)) {
    const [cached, stored] = await Promise.all([revisionsAt(http, `${path}?resourceVersion=0`), revisionsAt(http, path)])
    if (cached !== stored) behind.push(path)
  }
  return behind
}

async function listedPaths(http: Http, kinds: Set<string>): Promise<string[]> {
  const { groups } = expectCode(await http.get('/apis'), 200)
  const served: string[] = ['/api/v1', ...groups.map(({ preferredVersion }: Body) => `/apis/${preferredVersion.groupVersion}`)]
  const lists = await Promise.all(served.map((path) => http.get(path)))
  return lists.flatMap(({ body }, index) =>
    (body?.resources ?? [])
      .filter(({ name, verbs }: Body) => kinds.has(name) && verbs.includes('list') && verbs.includes('watch'))
      .map(({ name }: Body) => `${served[index]}/${name}`),
  )
}

async function revisionsAt(http: Http, path: string): Promise<string> {
  const { status, body } = await http.get(path, { headers: { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' } })
  if (status !== 200) return `${status}`
  const revisions = (body.items ?? []).map(({ metadata }: Body) => `${metadata.namespace}/${metadata.name} ${metadata.resourceVersion}`)
  return revisions.sort().join('\n')
}

/** How many quotas were written since the API server started. */
export async function quotasWritten(http: Http): Promise<number> {
  const { text } = await http.get('/metrics')
  const writes = text.matchAll(/^apiserver_request_total\{.*resource="resourcequotas".*verb="(?:APPLY|PATCH|POST|PUT)".*\} (\d+)$/gm)
  return Array.from(writes, ([, count]) => Number(count)).reduce((sum, count) => sum + count, 0)
}
