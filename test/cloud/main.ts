import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { heardOf, lineOfRequest } from '../region/heard.ts'
import { expectFree, portOf } from '../region/ports.ts'
import { doorForPeople } from './people.ts'
import { type ServedCloud, serveCloud } from './serve.ts'

const help = `npm run cloud -- [options]: a small cloud on this machine, which does what docs/your-cloud.md asks of one

  --port PORT   where it listens on 127.0.0.1 (any free port)
  --help

It keeps everything in memory, and ends with Ctrl-C.
`

/** Serves a cloud that shows each request that it has answered. */
async function serve(port: number | undefined): Promise<ServedCloud> {
  let ca = ''
  const around: Parameters<typeof serveCloud>[1] = (cloud) => {
    const people = doorForPeople(cloud, () => ca)
    return async (request) => {
      const answer = await people(request)
      if (answer) return answer
      const copy = request.clone()
      const answered = await cloud.app.fetch(request)
      const heard = heardOf(request, Buffer.from(await copy.arrayBuffer()), answered.status)
      process.stdout.write(`◂ ${lineOfRequest(heard)}\n`)
      return answered
    }
  }
  const served = await serveCloud(Date.now, around, port)
  ca = served.ca
  await served.cloud.publish({ anchors: [ca] })
  return served
}

function introduction(origin: string, caFile: string, keyFile: string): string {
  const curl = `curl --cacert ${caFile} ${origin}`
  return `A cloud listens at ${origin}, and keeps what it hears in memory.

Its CA is in ${caFile}, its public key in ${keyFile}.
A region joins it with this configuration of its agent:

  cloud: { url: ${origin}, caFile: ${caFile} }

  ${curl}/heard                    what it has heard; ${origin}/ is a page
  ${curl}/tokens -d harbour-1      makes an installation token
  ${curl}/pair -d CODE             types a pairing code that a region shows
  ${curl}/regions/ID/revoke -d ''  or allow, unlock, deregister
  ${curl}/regions/ID/export        the file that a region can be made again from

  npm run check:cloud -- --url ${origin} --ca ${caFile} --key ${keyFile}    tries it

Ctrl-C ends it.

`
}

/** @returns the exit code */
async function main(): Promise<number> {
  const { values } = parseArgs({ options: { port: { type: 'string' }, help: { type: 'boolean', default: false } } })
  if (values.help) {
    process.stdout.write(help)
    return 0
  }
  const port = portOf('--port', values.port)
  await expectFree('--port', port)
  const served = await serve(port)
  const folder = await mkdtemp(join(tmpdir(), 'skerry-cloud-'))
  try {
    const [caFile, keyFile] = [join(folder, 'ca.pem'), join(folder, 'cloud.pem')]
    await writeFile(caFile, served.ca)
    await writeFile(keyFile, served.cloud.key)
    process.stdout.write(introduction(served.origin, caFile, keyFile))
    await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  } finally {
    await served.close()
    await rm(folder, { recursive: true })
  }
  return 0
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  return 2
})
