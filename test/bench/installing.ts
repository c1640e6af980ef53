import { rm } from 'node:fs/promises'
import { createServer, request as plainRequest } from 'node:http'
import { Agent, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TestCluster } from '../cluster/index.ts'
import { openScene } from '../deploy/bootstrap-scene.ts'
import { type Finding, held, type Measurement } from './measurement.ts'

/** The requests of a second run, which has nothing to change, beside those of the installation. */
const atMost = 0.33

/**
 * A whole installation: a dry run, the installation, and the same command once more. The charts come from a folder and render the objects of
 * the real ones. A stand-in reports their pods ready at once, so the time is the installer's own.
 */
export const installing: Measurement = {
  name: 'install',
  title: 'a whole installation: time, and requests to the API server; the same command once more sends a third of them at most',
  async measure({ tell }) {
    const scene = await openScene()
    const counter = await countRequests(scene.cluster)
    const kubeconfig = scene.kubeconfig.replaceAll(/server: .*/g, `server: ${counter.url}`)
    const step = async (what: string, args: string[]) => {
      tell(what)
      counter.count = 0
      // kubectl and helm cache discovery on disk. A first installation has no such cache.
      if (what === 'dry run') await rm(`${scene.bench.folder}/.kube`, { recursive: true, force: true })
      const started = performance.now()
      const { code, out, err } = await scene.install(args, { kubeconfig })
      if (code !== 0) throw new Error(`${out}\n${err}`)
      return { what, seconds: (performance.now() - started) / 1000, requests: counter.count }
    }
    try {
      const dry = await step('dry run', ['--dry-run'])
      const whole = await step('installation', [])
      const again = await step('the same once more', [])
      const installation = finding(whole)
      const compared = { against: installation.measured, ...held(again.requests / whole.requests, { atMost }) }
      return [finding(dry), installation, { ...finding(again), ...compared }]
    } finally {
      counter.close()
      await scene.close()
    }
  },
}

function finding({ what, seconds, requests }: { what: string; seconds: number; requests: number }): Finding {
  return { what, measured: `${seconds.toFixed(1)} s, ${requests} requests`, numbers: { seconds, requests } }
}

/** A proxy to the API server that counts requests. It adds the credentials, since kubectl sends none without TLS. */
async function countRequests({ url, ca, adminToken }: TestCluster) {
  const to = new URL(url)
  const agent = new Agent({ ca, keepAlive: true })
  const counter = { count: 0, url: '', close: () => server.close() }
  const server = createServer((incoming, outgoing) => {
    counter.count += 1
    const { method, url: path, headers } = incoming
    const onwards = (to.protocol === 'https:' ? request : plainRequest)(
      {
        host: to.hostname,
        port: to.port,
        method,
        path,
        headers: { ...headers, host: to.host, authorization: `Bearer ${adminToken}` },
        agent: to.protocol === 'https:' ? agent : undefined,
      },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        outgoing.flushHeaders() // a watch may stay silent for long
        answer.pipe(outgoing)
      },
    )
    onwards.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onwards.destroy())
    incoming.pipe(onwards)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  counter.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return counter
}
