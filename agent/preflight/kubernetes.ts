import { listed } from '../region/obstacles/evidence.ts'
import type { Component } from './components.ts'
import type { Evidence } from './evidence.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** The chart refuses older ones. */
const oldest = 20
/** The newest that the tests of Skerry ran on. */
const newestTried = 36
/** The first with ValidatingAdmissionPolicy, for which the chart has policies. */
export const policiesSince = 30
/** A kubelet may be this many minor versions behind its API server (kubernetes.io/releases/version-skew-policy). */
const mostBehind = 3

/** Whether the version of the control plane is sufficient, and those of the kubelets match it. */
export function kubernetesVersion({ kubernetes, nodes }: Evidence): Finding[] {
  const minor = minorOf(kubernetes)
  if (minor === undefined) {
    const why = 'It is unknown whether it is new enough.'
    return [
      warn(
        'kubernetes-version',
        `the API server reports the version ${kubernetes}`,
        why,
        'Compare it with 1.20, the oldest supported one.',
      ),
    ]
  }
  return [judgeVersion(kubernetes, minor), ...judgeKubelets(minor, nodes ?? [])]
}

/** Whether Kubernetes is new enough for each component to be installed. */
export function leastVersions({ kubernetes, components, audience }: Evidence): Finding[] {
  const minor = minorOf(kubernetes)
  // For the agent, the components are already installed.
  if (minor === undefined || audience === 'agent') return []
  const tooNew = components.filter((component) => (minorOf(component.kubernetes) ?? 0) > minor)
  const needed = tooNew.filter(({ role }) => role === 'needed')
  const usual = tooNew.filter(({ role }) => role !== 'needed')
  return [...lacking(needed, kubernetes), ...leftOut(usual, kubernetes)]
}

function lacking(components: Component[], version: string): Finding[] {
  if (components.length === 0) return []
  return [
    fail(
      'component-version/needed',
      `Kubernetes ${version} is too old for what databases need: ${inWords(components)}`,
      'The installation would stop there.',
      `Upgrade the cluster to ${newest(components)} or newer. If one of them is already installed, leave it out: --skip ${components[0]?.name}`,
    ),
  ]
}

function leftOut(components: Component[], version: string): Finding[] {
  if (components.length === 0) return []
  return [
    warn(
      'component-version/usual',
      `Kubernetes ${version} is too old for ${inWords(components)}`,
      `install.sh leaves ${components.length === 1 ? 'it' : 'them'} out, and installs the rest.`,
      `Upgrade the cluster to ${newest(components)} or newer and install again.`,
    ),
  ]
}

/** `loki and grafana (1.25) and flux (1.33)` */
function inWords(components: Component[]): string {
  const byVersion = [...Map.groupBy(components, ({ kubernetes }) => kubernetes)].map(([least, those]) => {
    const names = those.map(({ name }) => name)
    return `${listed(names, names.length)} (${least})`
  })
  return listed(byVersion, byVersion.length)
}

function newest(components: Component[]): string {
  return `1.${Math.max(...components.map(({ kubernetes }) => minorOf(kubernetes) ?? 0))}`
}

function judgeVersion(version: string, minor: number): Finding {
  if (minor < oldest) {
    const why = `Skerry and the Crate Operator need APIs that came with 1.${oldest}.`
    return fail(
      'kubernetes-version',
      `Kubernetes ${version} is too old`,
      why,
      `Upgrade the cluster to 1.${oldest} or newer, best to one still maintained.`,
    )
  }
  if (minor > newestTried)
    return warn(
      'kubernetes-version',
      `Kubernetes ${version} is newer than any that this release of Skerry was tested with`,
      `The newest was 1.${newestTried}. Kubernetes keeps the APIs that Skerry uses, but it may check more strictly.`,
      'Look for a newer release of Skerry, or install it in a test cluster of this version first.',
    )
  if (minor >= policiesSince) return ok('kubernetes-version', `Kubernetes ${version}`)
  return warn(
    'kubernetes-version',
    `Kubernetes ${version} is old`,
    `Before 1.${policiesSince} there is no ValidatingAdmissionPolicy: only RBAC confines the agent, and deletionProtection protects from deletion through the API only.`,
    `Upgrade the cluster to 1.${policiesSince} or newer when you can.`,
  )
}

function judgeKubelets(minor: number, nodes: NonNullable<Evidence['nodes']>): Finding[] {
  const off = nodes.filter(({ status }) => {
    const own = minorOf(status?.nodeInfo?.kubeletVersion ?? '')
    return own !== undefined && (own > minor || own < minor - mostBehind)
  })
  if (off.length === 0) return []
  const named = off.map(({ metadata, status }) => `${metadata.name} (${status.nodeInfo.kubeletVersion})`)
  const why = `A kubelet must not be newer than its API server, nor more than ${mostBehind} minor versions older.`
  return [warn('kubelet-version', `the kubelets of ${listed(named)} do not match the API server`, why, 'Upgrade these nodes.')]
}

/** The minor version: 35 for `v1.35.2-gke.100`; undefined if the text is not a version. */
export function minorOf(version: string): number | undefined {
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(version) ?? []
  if (major === undefined) return undefined
  return major === '1' ? Number(minor) : Number(major) * 1000
}
