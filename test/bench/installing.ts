import { rm } from 'node:fs/promises'
import { createServer, request as plainRequest } from 'node:http'
import { Agent, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TestCluster } from '../cluster/index.ts'
import { openScene } from '../deploy/bootstrap-scene.ts'
import type { Finding, Measurement } from './measurement.ts'

/** A second run finds all but Skerry as it should be: what it may ask for, beside the installation itself. */
const budgetShare = 1 / 3

/**
 * A whole installation as somebody on site goes about it: a dry run, the installation, the same command once more. Charts are stand-ins with
 * what the real ones render, taken from a folder, and their pods are called ready: what is measured is the installer's own part.
 */
export const installing: Measurement = {
  name: 'install',
  title: 'a whole installation: time, and requests to the API server; the same command once more asks for a third at most',
  async measure({ tell }) {
    const scene = await openScene()
    const counter = await countRequests(scene.cluster)
    const kubeconfig = scene.kubeconfig.replaceAll(/server: .*/g, `server: ${counter.url}`)
    const step = async (what: string, args: string[]) => {
      tell(what)
      counter.count = 0
      // Discovery is cached on disk by kubectl and helm; nobody who installs has it.
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
      const share = again.requests / whole.requests
      const budgets = new Map([[again, { text: '≤ a third', met: share <= budgetShare }]])
      const findings: Finding[] = [dry, whole, again].map((each) => ({
        what: each.what,
        measured: `${each.seconds.toFixed(1)} s, ${each.requests} requests`,
        ...(budgets.has(each) && { against: 'the installation', ratio: share, budget: budgets.get(each) }),
        numbers: { seconds: each.seconds, requests: each.requests },
      }))
      return findings
    } finally {
      counter.close()
      await scene.close()
    }
  },
}

/** A way to the API server that counts what goes by. Credentials are its own: kubectl gives none to a server without TLS. */
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
        outgoing.flushHeaders() // of a watch nothing may come for long
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
