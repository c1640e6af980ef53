import { isDeepStrictEqual } from 'node:util'
import type { Change } from '../../shared/kubernetes/collection.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import type { Caches } from '../region/caches.ts'
import type { Stack } from '../region/stack.ts'
import { hasEnded } from '../resources/operation.ts'
import type { TunnelInUse } from '../tunnel/state.ts'

type Followed = {
  caches: Pick<Caches, 'projects' | 'databases' | 'retained' | 'volumes' | 'operations'>
  stack: Pick<Stack, 'workloads'>
  tunnel?: TunnelInUse | undefined
}

/**
 * Calls when something that is in the file of the region may have changed. Databases and projects get another status all the time, of which the file
 * has nothing. Returns the functions that unsubscribe.
 */
export function onChangeOfRegion({ caches, stack, tunnel }: Followed, changed: () => void): (() => void)[] {
  const ifDefinition = (change: Change<KubernetesObject>) => definesSomething(change) && changed()
  return [
    caches.projects.subscribe(ifDefinition),
    caches.databases.subscribe(ifDefinition),
    caches.retained.subscribe(ifDefinition),
    // A volume changes when it is bound, grows and is kept; the others serve no database.
    caches.volumes.subscribe(({ object, previous }) => (object.data ?? previous?.data) !== undefined && changed()),
    // A request counts from its acceptance on, and its end may have changed a password.
    caches.operations.subscribe(({ type, object, previous }) => {
      if (type === 'added' || (previous !== undefined && hasEnded(object) !== hasEnded(previous))) changed()
    }),
    ...stack.workloads.map((cache) =>
      cache.subscribe(({ object, previous }) => !isDeepStrictEqual(versionIn(object), versionIn(previous)) && changed()),
    ),
    ...(tunnel ? [tunnel.caches.settings.subscribe(changed)] : []),
  ]
}

function definesSomething({ object, previous }: Change<KubernetesObject>): boolean {
  if (previous === undefined) return true
  const { labels, deletionTimestamp } = object.metadata
  const before = previous.metadata
  const isSame =
    isDeepStrictEqual(object.spec, previous.spec) &&
    isDeepStrictEqual(labels, before.labels) &&
    isDeepStrictEqual(ownAnnotations(object), ownAnnotations(previous)) &&
    deletionTimestamp === before.deletionTimestamp
  return !isSame
}

/** Skerry's own, in which a CrateDB has what it has no field for. The operator notes its progress in others. */
function ownAnnotations({ metadata }: KubernetesObject): unknown {
  return Object.entries(metadata.annotations ?? {})
    .filter(([name]) => name.startsWith('skerry.dev/'))
    .sort()
}

function versionIn(workload: { part?: { component: string; chartVersion?: string; version?: string } } | undefined): unknown {
  const { component, chartVersion, version } = workload?.part ?? {}
  return [component, chartVersion, version]
}
