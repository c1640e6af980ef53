import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import type { MonitorCaches } from '../caches.ts'
import type { ComponentConfig } from '../config.ts'
import type { DeploymentView } from '../views.ts'
import type { DeviceFamily } from './family.ts'
import { count, flag, text } from './metrics.ts'

/** Whether it does its work: every replica that is wanted is ready, or none is wanted. */
export function isReady(deployments: readonly DeploymentView[]): boolean {
  return deployments.every(({ desired, ready }) => ready >= desired)
}

/** The metrics of one component, which may consist of several Deployments. */
export function componentMetrics(deployments: readonly DeploymentView[]): SparkplugMetric[] {
  const sum = (of: (deployment: DeploymentView) => number) => deployments.reduce((total, each) => total + of(each), 0)
  const all = (of: (deployment: DeploymentView) => string) => [...new Set(deployments.map(of))].sort().join(',')
  return [
    flag('Ready', isReady(deployments), 'As many replicas are ready as are wanted'),
    count(
      'Replicas/Desired',
      sum(({ desired }) => desired),
      'Replicas that are wanted',
    ),
    count(
      'Replicas/Ready',
      sum(({ ready }) => ready),
      'Replicas that are ready',
    ),
    count(
      'Replicas/Updated',
      sum(({ updated }) => updated),
      'Replicas of the newest template',
    ),
    text(
      'Version',
      all(({ version }) => version),
      'Version by its label, or else by the tag of its image; several are separated by commas',
    ),
    text(
      'Properties/Deployments',
      all(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
      'Its Deployments, namespace/name, separated by commas',
    ),
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
