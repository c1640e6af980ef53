import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { readInstallToken } from '../../../agent/cloud/install-token.ts'
import type { JoinSecret } from '../../../agent/cloud/registration/state.ts'
import { createUndiciTransport } from '../../../agent/cloud/undici-transport.ts'
import { systemClock } from '../../../shared/clock.ts'
import { closedAfter } from './idle.ts'
import { titledPoints } from './page.ts'
import { type Given, tryCloud } from './run.ts'
import { linesOf } from './verdicts.ts'

const page = new URL('../../../docs/your-cloud.md', import.meta.url)

const help = `npm run check:cloud -- --url URL [options]: whether a cloud does what docs/your-cloud.md asks of it

  --url URL                   origin of the cloud: https://HOST[:PORT]
  --token-file FILE           an installation token of the cloud, which will be used up; without one, you are asked to type a pairing code
  --expired-token-file FILE   a token that has expired, to see it refused
  --ca FILE                   PEM CA certificates that the cloud's certificate may come from, besides those of the system
  --key FILE                  PEM public key of the cloud (cloud.pem); that of its answers if left out
  --idle SECONDS              how long a connection is left idle (90); 0 leaves that out
  --help

Prints a line for each titled point of the page, and ends with 0 if all that was tried is kept, else with 1. With 2, a fault is in
the command, or the cloud has never answered.
`

async function readGiven(args: string[]): Promise<Given | undefined> {
  const { values } = parseArgs({
    args,
    options: {
      url: { type: 'string' },
      'token-file': { type: 'string' },
      'expired-token-file': { type: 'string' },
      ca: { type: 'string' },
      key: { type: 'string' },
      idle: { type: 'string', default: '90' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const url = URL.parse(values.url ?? '')
  if (url?.protocol !== 'https:' || url.pathname !== '/') throw new Error('--url is needed: https://HOST[:PORT], without a path')
  if (!/^\d{1,4}$/.test(values.idle)) throw new Error(`--idle is a number of seconds, not ${values.idle}`)
  const ca = await textOf(values.ca)
  const idleMs = Number(values.idle) * 1000
  return {
    url: url.origin,
    transport: createUndiciTransport({ url: url.origin, ca, timeoutMs: 30_000, clock: systemClock }),
    cloudKey: await textOf(values.key),
    token: await tokenOf(values['token-file']),
    expiredToken: await tokenOf(values['expired-token-file']),
    idle: idleMs > 0 ? closedAfter(url.origin, ca, idleMs) : undefined,
    say: (line) => void process.stdout.write(`${line}\n`),
  }
}

async function textOf(file: string | undefined): Promise<string | undefined> {
  return file === undefined ? undefined : readFile(file, 'utf8')
}

async function tokenOf(file: string | undefined): Promise<JoinSecret | undefined> {
  const text = await textOf(file)
  const token = text === undefined ? undefined : readInstallToken(text)
  if (text !== undefined && token === undefined) throw new Error(`${file} holds no installation token`)
  return token
}

/** @returns the exit code */
async function main(): Promise<number> {
  const given = await readGiven(process.argv.slice(2))
  if (given === undefined) {
    process.stdout.write(help)
    return 0
  }
  const report = await tryCloud(given).finally(() => given.transport.close())
  const texts = new Map(titledPoints(await readFile(page, 'utf8')).map(({ title, text }) => [title, text]))
  for (const line of linesOf(report.verdicts, (point) => texts.get(point) ?? '')) process.stdout.write(`${line}\n`)
  if (report.brokenOff !== undefined) process.stdout.write(`\nThe trial broke off: ${report.brokenOff}\n`)
  return report.hasFailed ? 1 : 0
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  return 2
})
