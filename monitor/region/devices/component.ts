import { keyOf } from '../../../shared/kubernetes/objects.ts'
import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import type { MonitorCaches } from '../caches.ts'
import type { ComponentConfig } from '../config.ts'
import type { DeploymentView } from '../views.ts'
import type { DeviceFamily } from './family.ts'
import { count, flag, text } from './metrics.ts'

/** Whether all desired replicas are ready; also when none is desired. */
export function isReady(deployments: readonly DeploymentView[]): boolean {
  return deployments.every(({ desired, ready }) => ready >= desired)
}

/** The metrics of one component, which may consist of several Deployments. */
export function componentMetrics(deployments: readonly DeploymentView[]): SparkplugMetric[] {
  const sum = (of: 'desired' | 'ready' | 'updated') => deployments.reduce((total, each) => total + each[of], 0)
  const joined = (all: readonly string[]) => [...new Set(all)].sort().join(',')
  const versions = joined(deployments.map(({ version }) => version))
  const names = joined(deployments.map(({ metadata }) => keyOf(metadata)))
  return [
    flag('Ready', isReady(deployments), 'All desired replicas are ready'),
    count('Replicas/Desired', sum('desired'), 'Desired replicas'),
    count('Replicas/Ready', sum('ready'), 'Ready replicas'),
    count('Replicas/Updated', sum('updated'), 'Replicas of the newest template'),
    text('Version', versions, 'Version by its label, or else by the tag of its image; several are separated by commas'),
    text('Properties/Deployments', names, 'Its Deployments as namespace/name, separated by commas'),
  ]
}

/** Deployments by component. */
export function componentsOf(
  { deployments }: Pick<MonitorCaches, 'deployments'>,
  components: readonly ComponentConfig[],
): Map<string, DeploymentView[]> {
  const names = new Map(components.map(({ name, label = name }) => [label, name]))
  const found = new Map<string, DeploymentView[]>()
  for (const deployment of deployments.values()) {
    const name = names.get(deployment.component)
    if (name === undefined) continue
    const others = found.get(name)
    if (others) others.push(deployment)
    else found.set(name, [deployment])
  }
  return found
}

/** One device for each component that has a Deployment. */
export function componentDevices(caches: Pick<MonitorCaches, 'deployments'>, components: readonly ComponentConfig[]): DeviceFamily {
  const names = new Map(components.map(({ name, label = name }) => [label, name]))
  return {
    kind: 'component',
    sources: ['deployments'],
    keys: () => componentsOf(caches, components).keys(),
    metrics(name) {
      const deployments = componentsOf(caches, components).get(name)
      return deployments && componentMetrics(deployments)
    },
    follow: (touch) =>
      caches.deployments.subscribe(({ object, previous }) => {
        for (const each of [object, previous]) {
          const name = names.get(each?.component ?? '')
          if (name !== undefined) touch(name)
        }
      }),
  }
}
