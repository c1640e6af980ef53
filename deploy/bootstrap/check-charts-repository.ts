import { parse } from 'yaml'

/** A repository's information about a chart. */
export type Looked = {
  /** The new address of its index, if it has moved permanently. */
  movedTo?: string
  /** Whether it has the version, and has not withdrawn it. */
  isThere: boolean
  isDeprecated: boolean
  /** The newest newer version, pre-releases excluded. */
  newer?: string
}

type Entry = { version?: string; deprecated?: boolean }

const mostRedirects = 5
const timeoutMs = 60_000

/**
 * Reads the index of a chart repository.
 * @throws Error with its answer, or the reason why there is none
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
    // A temporary redirect may have another target tomorrow.
    isForGood &&= [301, 308].includes(response.status)
    if (isForGood) movedTo = at
  }
  throw new Error(`it redirects more than ${mostRedirects} times, last to ${at}`)
}

function reasonOf(error: unknown): string {
  const { cause, message } = error as { cause?: { code?: string; message?: string }; message: string }
  return cause?.message || cause?.code || message
}

/** The versions of one chart. An index has many megabytes, so only that chart's part is parsed, if it is written as helm writes it. */
function entriesOf(text: string, chart: string): Entry[] {
  const escaped = chart.replaceAll(/[^\w-]/g, '\\$&')
  const [, part] = new RegExp(`^  ${escaped}:\\n((?:(?: {2}-| {3}).*\\n?|\\n)+)`, 'm').exec(text) ?? []
  const entries = part === undefined ? parse(text)?.entries?.[chart] : parse(part)
  return Array.isArray(entries) ? entries : []
}

const bare = (version = '') => version.replace(/^v/, '')

/** Compares versions of which only the second can have a suffix. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((each) => bare(each).split(/[.+-]/).slice(0, 3).map(Number)) as [number[], number[]]
  const at = left.findIndex((part, index) => part !== right[index])
  return at < 0 ? 0 : (left[at] as number) - (right[at] as number)
}
