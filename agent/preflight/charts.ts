import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { type Ask, createAsk, Unclear } from './ask.ts'
import { type ChartIndex, createChartIndex } from './chart-index.ts'
import { type Answer, askRegistry } from './chart-registry.ts'
import type { Component } from './components.ts'
import type { ChartSeen } from './evidence.ts'
import { codeOf, type ReachOptions, Unreached } from './reach.ts'

/** The maximum size of an unpacked index, in characters: ten times that of the largest known ones. */
const mostCharacters = 128 << 20
/** The maximum length of a line, in characters: a JSON index is a single line. */
const longestLine = 8 << 20

/** Asks the repository of each component for its chart, all repositories at once. Never rejects: failures are in the outcome. */
export async function askCharts(components: readonly Component[], options: ReachOptions = {}): Promise<ChartSeen[]> {
  const { timeoutMs = 20_000 } = options
  const asked = [...Map.groupBy(components, ({ repository = '' }) => repository)].map(async ([repository, those]) => {
    const signal = AbortSignal.timeout(timeoutMs)
    const ask = repository.startsWith('oci:') ? askRegistry : askRepository
    const answers = await ask(repository, those, createAsk(options, signal)).catch((error: unknown) => {
      const late = signal.aborted && !(error instanceof Unreached)
      return those.map(() => (late ? unclear(`no whole answer within ${timeoutMs / 1000} s`) : wentWrong(error)))
    })
    return those.map(
      ({ name, role, chart, version }, index): ChartSeen => ({
        ...{ component: name, needed: role === 'needed', chart, version, repository },
        ...(answers[index] as Answer),
      }),
    )
  })
  return (await Promise.all(asked)).flat()
}

function wentWrong(error: unknown): Answer {
  if (error instanceof Unreached) return { outcome: 'unreached', detail: error.message }
  return unclear(error instanceof Unclear ? error.message : `the answer breaks off (${codeOf(error)})`)
}

function unclear(detail: string): Answer {
  return { outcome: 'unclear', detail }
}

async function askRepository(repository: string, components: readonly Component[], ask: Ask): Promise<Answer[]> {
  const response = await ask(new URL('index.yaml', repository.replace(/\/?$/, '/')), { 'accept-encoding': 'gzip' })
  const { statusCode = 0 } = response
  if (statusCode !== 200) {
    response.destroy()
    const isGone = statusCode === 404 || statusCode === 410
    const all: Answer = isGone
      ? { outcome: 'no-repository', detail: `the repository is gone or has moved (${statusCode})` }
      : unclear(`it answers ${statusCode}`)
    return components.map(() => all)
  }
  const index = await readIndex(response, components)
  return components.map((component) => answerOf(index, component))
}

function answerOf(index: ChartIndex, { chart, version }: Component): Answer {
  if (!index.isIndex) return { outcome: 'no-index', detail: 'what answers is no list of charts' }
  const found = index.of(chart, version)
  if (found.version) return { outcome: 'there', detail: '' }
  if (found.newest === undefined) return { outcome: 'no-chart', detail: `no chart ${chart} is in it` }
  return { outcome: 'no-version', detail: `no version ${version} of ${chart} is in it; the newest is ${found.newest}` }
}

/** Reads the index until all charts are found. @throws Unclear when it is too large */
async function readIndex(response: IncomingMessage, sought: readonly Component[]): Promise<ChartIndex> {
  const index = createChartIndex(sought)
  let [rest, characters] = ['', 0]
  try {
    for await (const chunk of unpacked(response)) {
      characters += chunk.length
      if (characters > mostCharacters || rest.length > longestLine) throw new Unclear('its list of charts is too large')
      const lines = `${rest}${chunk}`.split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) index.line(line)
      if (index.complete) return index
    }
  } finally {
    response.destroy()
  }
  index.line(rest)
  return index
}

function unpacked(response: IncomingMessage): AsyncIterable<string> {
  if (response.headers['content-encoding'] !== 'gzip') return response.setEncoding('utf8')
  const gunzip: Readable = response.pipe(createGunzip())
  response.once('error', (error) => gunzip.destroy(error))
  return gunzip.setEncoding('utf8')
}
