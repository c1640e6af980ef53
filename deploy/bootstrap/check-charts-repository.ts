import { parse } from 'yaml'

/** What a repository says of a chart. */
export type Looked = {
  /** Where its index is now, when it has moved for good. */
  movedTo?: string
  /** Whether the version is in it, and was not taken back. */
  isThere: boolean
  isDeprecated: boolean
  /** The newest one that is newer, and no trial of one. */
  newer?: string
}

type Entry = { version?: string; deprecated?: boolean }

const mostRedirects = 5
const timeoutMs = 60_000

/**
 * Looks into the index of a repository of charts.
 * @throws Error with what it answers, or why it does not
 */
export async function lookInto(repository: string, chart: string, version: string): Promise<Looked> {
  const { text, movedTo } = await get(`${repository.replace(/\/$/, '')}/index.yaml`)
  const entries = entriesOf(text, chart)
  if (entries.length === 0) throw new Error(`there is no chart ${chart} in it`)
  const here = entries.find((entry) => bare(entry.version) === bare(version))
  const newer = entries
    .flatMap((entry) => (entry.version && /^v?\d+\.\d+\.\d+$/.test(entry.version) ? [entry.version] : []))
    .sort(compareVersions)
    .findLast((each) => compareVersions(each, version) > 0)
  return {
    ...(movedTo !== undefined && { movedTo: movedTo.replace(/\/index\.yaml$/, '') }),
    ...(newer !== undefined && { newer }),
    isThere: here !== undefined,
    isDeprecated: here?.deprecated === true,
  }
}

async function get(url: string): Promise<{ text: string; movedTo?: string }> {
  const signal = AbortSignal.timeout(timeoutMs)
  let at = url
  let movedTo: string | undefined
  let isForGood = true
  for (let redirects = 0; redirects <= mostRedirects; redirects++) {
    const response = await fetch(at, { redirect: 'manual', signal }).catch((error: unknown) => {
      throw new Error(`it does not answer: ${reasonOf(error)}`)
    })
    const location = response.headers.get('location')
    if (response.ok) return { text: await response.text(), ...(movedTo !== undefined && { movedTo }) }
    await response.body?.cancel()
    if (response.status < 300 || response.status > 399 || location === null) {
      const gone = [404, 410].includes(response.status) ? 'it is gone or has moved' : 'it does not answer with an index'
      throw new Error(`${gone}: ${at} answers ${response.status}`)
    }
    at = new URL(location, at).href
    // Where a temporary redirect leads, it may lead somewhere else tomorrow.
    isForGood &&= [301, 308].includes(response.status)
    if (isForGood) movedTo = at
  }
  throw new Error(`it leads on more than ${mostRedirects} times, to ${at} at last`)
}

function reasonOf(error: unknown): string {
  const { cause, message } = error as { cause?: { code?: string; message?: string }; message: string }
  return cause?.message || cause?.code || message
}

/** The versions of one chart. An index is of many megabytes, so only the part of that chart is read, where it is written as helm does. */
function entriesOf(text: string, chart: string): Entry[] {
  const escaped = chart.replaceAll(/[^\w-]/g, '\\$&')
  const [, part] = new RegExp(`^  ${escaped}:\\n((?:(?: {2}-| {3}).*\\n?|\\n)+)`, 'm').exec(text) ?? []
  const entries = part === undefined ? parse(text)?.entries?.[chart] : parse(part)
  return Array.isArray(entries) ? entries : []
}

const bare = (version = '') => version.replace(/^v/, '')

/** Of versions without a suffix, or of which only the second may have one. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((each) => bare(each).split(/[.+-]/).slice(0, 3).map(Number)) as [number[], number[]]
  const at = left.findIndex((part, index) => part !== right[index])
  return at < 0 ? 0 : (left[at] as number) - (right[at] as number)
}
