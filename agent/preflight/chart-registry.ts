import { type Ask, textOf, Unclear } from './ask.ts'
import type { Component } from './components.ts'
import type { ChartSeen } from './evidence.ts'

/** The outcome of asking for one chart. */
export type Answer = Pick<ChartSeen, 'outcome' | 'detail'>

const manifest = 'application/vnd.oci.image.manifest.v1+json'

/** Asks a registry for charts, as an anonymous user. @param repository `oci://HOST/PATH` */
export async function askRegistry(repository: string, components: readonly Component[], ask: Ask): Promise<Answer[]> {
  const { host, pathname } = new URL(repository.replace(/^oci:/, 'https:'))
  return Promise.all(components.map((component) => askFor(host, `${pathname.replace(/^\/|\/$/g, '')}/${component.chart}`, component, ask)))
}

async function askFor(host: string, name: string, { chart, version }: Component, ask: Ask): Promise<Answer> {
  // A tag cannot contain a plus sign; helm writes an underscore instead.
  const url = new URL(`https://${host}/v2/${name}/manifests/${version.replaceAll('+', '_')}`)
  let response = await ask(url, { accept: manifest })
  if (response.statusCode === 401) {
    response.destroy()
    const token = await anonymousToken(response.headers['www-authenticate'] ?? '', ask)
    response = await ask(url, { accept: manifest, authorization: `Bearer ${token}` })
  }
  const { statusCode = 0 } = response
  if (statusCode === 404) {
    const unknown = /NAME_UNKNOWN/.test(await textOf(response))
    return unknown
      ? { outcome: 'no-chart', detail: `no chart ${chart} is in it` }
      : { outcome: 'no-version', detail: `no version ${version} of ${chart} is in it` }
  }
  response.destroy()
  return statusCode === 200 ? { outcome: 'there', detail: '' } : { outcome: 'unclear', detail: `it answers ${statusCode}` }
}

/** The token of an anonymous user (distribution.github.io/distribution/spec/auth/token). */
async function anonymousToken(challenge: string, ask: Ask): Promise<string> {
  const { realm, ...given } = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]))
  if (!/^bearer /i.test(challenge) || !URL.canParse(realm)) throw new Unclear('it wants a user and a password')
  const url = new URL(realm)
  for (const key of ['service', 'scope']) if (given[key] !== undefined) url.searchParams.set(key, given[key])
  const response = await ask(url)
  if (response.statusCode !== 200) {
    response.destroy()
    throw new Unclear(`it does not give the chart to everybody: its tokens answer ${response.statusCode}`)
  }
  const { token, access_token = token } = JSON.parse(await textOf(response))
  return access_token
}
