import type { KubernetesObject, ObjectMeta } from '../../shared/kubernetes/objects.ts'
import { compareReleases } from '../resources/release.ts'
import { identityOf } from './caches.ts'

/** A component of the stack, as far as it can be recognised: a line of deploy/bootstrap/components. */
export type KnownComponent = {
  name: string
  role: 'needed' | 'usual' | 'retired'
  chart: string
  /** The version of the chart that this release installs. */
  version: string
  namespace: string
  /** `deployments:app.kubernetes.io/name=cert-manager`: one for each way to install it. */
  present: string[]
}

/** What is kept of a Deployment, StatefulSet or DaemonSet: little, because a cluster may have thousands that are of no interest here. */
export type WorkloadView = {
  metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'resourceVersion' | 'uid'>
  /** Set on those of a component. */
  part?: {
    component: string
    /** The version of the chart; absent if it is not of that chart. */
    chartVersion?: string
    /** What the label says: of the program, by most charts. */
    version?: string
    isReady: boolean
  }
}

/** How a component is. Absent members are not known. */
export type ComponentState = {
  /**
   * `foreign`: installed by other means than the chart, so that its version cannot be compared. `newer`: than this release of the agent
   * knows. `retired`: an earlier version of Skerry installed it, and nothing needs it.
   */
  state: 'current' | 'outdated' | 'newer' | 'foreign' | 'missing' | 'retired'
  /** Version of its chart that is installed. */
  have?: string
  /** Version of its chart that this release of Skerry installs. */
  want?: string
  /** Version of the program. */
  version?: string
  namespace?: string
  ready?: boolean
}

/** The view of one kind of workload. @param plural as in `present`: `deployments` */
export function workloadView(plural: string, known: readonly KnownComponent[]): (object: KubernetesObject) => WorkloadView {
  return (object) => {
    const metadata = { ...identityOf(object), ...(object.metadata.uid !== undefined && { uid: object.metadata.uid }) }
    const labels = object.metadata.labels ?? {}
    const byChart = known.flatMap((component) => {
      const chartVersion = chartVersionIn(labels, component.chart)
      return chartVersion === undefined ? [] : [{ component, chartVersion }]
    })[0]
    const component = byChart?.component ?? known.find(({ present }) => present.some((selector) => selects(selector, plural, labels)))
    if (component === undefined) return { metadata }
    const version = labels['app.kubernetes.io/version']
    const part = {
      component: component.name,
      ...(byChart && { chartVersion: byChart.chartVersion }),
      ...(version !== undefined && { version }),
      isReady: isRunning(object),
    }
    return { metadata, part }
  }
}

/**
 * Helm's own records of a release are Secrets, which the agent must not read. Most charts label what they make with name and version:
 * `helm.sh/chart: cert-manager-v1.21.1`, kube-prometheus-stack with `chart`. A label has _ where the version has +.
 */
function chartVersionIn(labels: Record<string, string>, chart: string): string | undefined {
  for (const label of [labels['helm.sh/chart'], labels.chart]) {
    const version = label?.startsWith(`${chart}-`) ? label.slice(chart.length + 1) : ''
    if (/^v?\d/.test(version)) return version.replaceAll('_', '+')
  }
  return undefined
}

/** Whether a selector such as `deployments:app=loki,tier=backend` selects an object of that kind with these labels. */
function selects(selector: string, plural: string, labels: Record<string, string>): boolean {
  const [kind, pairs = ''] = selector.split(':')
  return kind === plural && pairs.split(',').every((pair) => labels[pair.split('=')[0] ?? ''] === pair.split('=')[1])
}

function isRunning({ kind, spec = {}, status = {} }: KubernetesObject): boolean {
  if (kind === 'DaemonSet') return (status.numberReady ?? 0) >= (status.desiredNumberScheduled ?? 0)
  return (status.readyReplicas ?? 0) >= (spec.replicas ?? 1)
}

/** How each component is, by its name. Pure. */
export function componentsOf(workloads: Iterable<WorkloadView>, known: readonly KnownComponent[]): Record<string, ComponentState> {
  const found = Map.groupBy(
    [...workloads].filter(({ part }) => part !== undefined),
    ({ part }) => part?.component,
  )
  const states = known.flatMap((component) => {
    const state = stateOf(component, found.get(component.name) ?? [])
    return state === undefined ? [] : [[component.name, state] as const]
  })
  return Object.fromEntries(states)
}

function stateOf({ role, version: want, namespace }: KnownComponent, found: WorkloadView[]): ComponentState | undefined {
  // The parts of one chart have one version. If there are several installations, the one in the usual namespace counts.
  const byRank = (view: WorkloadView) => Number(view.part?.chartVersion !== undefined) * 2 + Number(view.metadata.namespace === namespace)
  const [first] = [...found].sort((a, b) => byRank(b) - byRank(a))
  if (first?.part === undefined) return role === 'retired' ? undefined : { state: 'missing', want }
  const { chartVersion: have, version } = first.part
  const there = first.metadata.namespace
  const ready = found.filter(({ metadata }) => metadata.namespace === there).every(({ part }) => part?.isReady)
  return {
    state: role === 'retired' ? 'retired' : have === undefined ? 'foreign' : comparison(have, want),
    ...(have !== undefined && { have }),
    ...(role !== 'retired' && { want }),
    ...(version !== undefined && { version }),
    ...(there !== undefined && { namespace: there }),
    ready,
  }
}

function comparison(have: string, want: string): 'current' | 'outdated' | 'newer' {
  if (have === want) return 'current'
  const order = compareReleases(numbersOf(have), numbersOf(want))
  return order < 0 ? 'outdated' : order > 0 ? 'newer' : 'current'
}

function numbersOf(version: string): number[] {
  return (/^v?(\d+(?:\.\d+)*)/.exec(version)?.[1] ?? '').split('.').map(Number)
}
