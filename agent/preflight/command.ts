import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { systemClock } from '../../shared/clock.ts'
import { kinds } from '../../shared/kubernetes/objects.ts'
import { listObjects } from '../../shared/kubernetes/read.ts'
import { connectAsCaller, type Env, type Output } from '../cli/caller.ts'
import { canonicalCidr } from '../resources/cidr.ts'
import { type Component, componentsToCome, ownComponents, readComponents } from './components.ts'
import type { Audience } from './evidence.ts'
import { preflight } from './index.ts'
import { type Cloud, lookOutside } from './outside.ts'
import { type Outside, reachHosts } from './reach.ts'
import { reportOf, reportTable } from './report.ts'
import { storageClassManifest } from './storage-manifest.ts'

/** The exit codes. Warnings do not stop an installation, so with warnings only the code is that of success. */
export const exitCodes = { ok: 0, failed: 1, notRun: 2 } as const

const help = `skerry-agent preflight: whether a region can be installed in a cluster. Nothing is changed.

  --kubeconfig FILE       the cluster: this file, else KUBECONFIG, else ~/.kube/config, else that of the pod
  --context NAME          another context than the current one
  --namespace NAME        the namespace of Skerry (skerry)
  --output table|json     (table)
  --component NAME        a component to be installed; may be repeated (all that install.sh installs)
  --components FILE       another list of components than the one of this release
  --offline               try no host outside, and look for no chart
  --chart-at-hand NAME    do not look for the chart of this component; may be repeated
  --cloud URL             try the cloud that the region is to join, too
  --cloud-pinned          the installation token has the pin of its CA: its certificate need not be trusted here
  --host HOST[:PORT]      try these hosts instead of the usual ones, and look for no chart; may be repeated
  --https-proxy URL       the proxy to try them through (HTTPS_PROXY)
  --no-proxy LIST         hosts and .domains that are reached without it, separated by commas (NO_PROXY)
  --ca-file FILE          PEM CA certificates to trust besides the usual ones
  --cidr NETWORK          a network of the site that pods must be able to reach; may be repeated
  --print-storage-classes NAME
                          only print a manifest of the missing storage classes, made like NAME
  --help

The exit code is 0 if nothing blocks the installation, even with warnings; 1 if something does; 2 if the check could not run.
`

const options = {
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  namespace: { type: 'string', default: 'skerry' },
  output: { type: 'string', default: 'table' },
  component: { type: 'string', multiple: true, default: [] as string[] },
  components: { type: 'string' },
  offline: { type: 'boolean', default: false },
  'chart-at-hand': { type: 'string', multiple: true, default: [] as string[] },
  cloud: { type: 'string' },
  'cloud-pinned': { type: 'boolean', default: false },
  host: { type: 'string', multiple: true, default: [] as string[] },
  'https-proxy': { type: 'string' },
  'no-proxy': { type: 'string' },
  'ca-file': { type: 'string' },
  cidr: { type: 'string', multiple: true, default: [] as string[] },
  'print-storage-classes': { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

/** The command. Never rejects: the code to exit with says how it went, one of `exitCodes`. */
export async function preflightCommand(argv: readonly string[], env: Env, { out, err }: Output): Promise<number> {
  try {
    const { values } = parseArgs({ args: [...argv], options })
    if (values.help) {
      out(help)
      return exitCodes.ok
    }
    if (!['table', 'json'].includes(values.output)) throw new Error(`--output must be table or json, not ${values.output}`)
    const siteCidrs = values.cidr.map((text) => networkOf(text))
    const all = values.components === undefined ? ownComponents : readComponents(values.components)
    const components = componentsToCome(all, values.component)
    componentsToCome(all, values['chart-at-hand'])
    const look = values.offline ? undefined : lookerOf(values, components, env)
    const { cluster, is } = await connectAsCaller(values, env)
    const audience: Audience = is === 'agent' ? 'agent' : 'installer'
    try {
      if (values['print-storage-classes'] !== undefined) {
        out(storageClassManifest(await listObjects(cluster, kinds.StorageClass), values['print-storage-classes']))
        return exitCodes.ok
      }
      const { namespace, output } = values
      const findings = await preflight(
        { audience, namespace, siteCidrs, components, outside: look && (() => look(audience)) },
        { cluster, clock: systemClock },
      )
      const report = reportOf(findings, systemClock.now())
      out(output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : reportTable(report))
      return report.level === 'fail' ? exitCodes.failed : exitCodes.ok
    } finally {
      cluster.close()
    }
  } catch (error) {
    err(`skerry-agent preflight: ${error instanceof Error ? error.message : error}\nSee --help.\n`)
    return exitCodes.notRun
  }
}

function networkOf(text: string): string {
  const network = canonicalCidr(text)
  if (network === undefined) throw new Error(`--cidr must be a network such as 10.20.0.0/16, not ${text}`)
  return network
}

type Way = {
  host: string[]
  'chart-at-hand': string[]
  cloud?: string
  'cloud-pinned': boolean
  'https-proxy'?: string
  'no-proxy'?: string
  'ca-file'?: string
}

/** The function that looks outside. Only an installer fetches charts. */
function lookerOf(values: Way, components: Component[], env: Env) {
  const proxy = values['https-proxy'] ?? env.HTTPS_PROXY ?? env.https_proxy
  if (proxy && !URL.parse(proxy)?.protocol.startsWith('http:'))
    throw new Error(`--https-proxy must be an address such as http://proxy.site:3128`)
  const noProxy = (values['no-proxy'] ?? env.NO_PROXY ?? env.no_proxy ?? '').split(',').filter((entry) => entry !== '')
  const ca = values['ca-file'] === undefined ? undefined : readFileSync(values['ca-file'], 'utf8')
  const options = { proxy: proxy || undefined, noProxy, ca }
  const hosts = values.host.map(hostOf)
  const cloud = values.cloud === undefined ? undefined : cloudOf(values.cloud, values['cloud-pinned'])
  return hosts.length > 0
    ? async () => ({ reached: await reachHosts(hosts, options), charts: undefined })
    : (audience: Audience) => {
        const atHand = audience === 'agent' ? components.map(({ name }) => name) : values['chart-at-hand']
        return lookOutside(components, { ...options, atHand, cloud })
      }
}

function cloudOf(url: string, isPinned: boolean): Cloud {
  const parsed = URL.parse(url)
  if (parsed?.protocol !== 'https:') throw new Error(`--cloud must be an address such as https://cloud.example.org, not ${url}`)
  return { host: parsed.hostname.replace(/^\[|\]$/g, ''), port: Number(parsed.port || 443), isPinned }
}

function hostOf(text: string): Outside {
  const [, host, port = '443'] = /^([A-Za-z0-9.-]+)(?::(\d{1,5}))?$/.exec(text) ?? []
  if (host === undefined) throw new Error(`--host must be HOST or HOST:PORT, not ${text}`)
  return { host, port: Number(port), tls: port !== '7844', neededFor: 'the host given with --host', vital: false }
}
