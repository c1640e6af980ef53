import type { Clock } from '../../../shared/clock.ts'
import type { Cache } from '../../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { probeBucket } from '../../bucket/index.ts'
import type { Caches } from '../../region/caches.ts'
import { clusterNetworksNow } from '../../region/cluster-networks.ts'
import { backupImageNow, heapDumpVolumeNow, type OperatorView, operatorReleaseNow } from '../../region/operator.ts'
import type { DatabaseSql } from '../../region/sql.ts'
import type { AllowedKeys } from '../../resources/allowed-keys.ts'
import type { AcceptedState } from '../accepted.ts'
import type { Journal } from '../journal.ts'
import type { DecisionParts, Timeouts } from './decision.ts'

/** The part of the agent's configuration that decides on requests. */
export type DecidingConfig = {
  region: { id: string }
  cluster: { namespace: string }
  crateOperator: { namespace: string; deployment: string; version?: string | undefined }
  databases: {
    imageRegistry: string
    heapDumpVolume: string
    backupEndpoints: { allowed: readonly string[]; clusterNetworks: readonly string[] }
  }
  operations: { timeouts: Timeouts }
  metadata: AllowedKeys
  recovery: { import: { hostFolders: readonly string[] } }
}

/** What there is to know for a decision, as the configuration has it. */
export function decisionParts(
  { region, cluster: { namespace }, crateOperator, databases, metadata, operations, recovery }: DecidingConfig,
  parts: {
    accepted: AcceptedState
    caches: Caches
    operator: Cache<OperatorView>
    journal: Journal
    cluster: Cluster
    sql: DatabaseSql
    clock: Clock
    probe?: DecisionParts['probe'] | undefined
  },
): DecisionParts {
  const { accepted, caches, operator, journal, cluster, sql, clock } = parts
  const { allowed, clusterNetworks } = databases.backupEndpoints
  const operatorAt = { namespace: crateOperator.namespace, name: crateOperator.deployment, version: crateOperator.version }
  const endpoints = {
    allowed,
    clusterNetworks: () => clusterNetworksNow(clusterNetworks, { nodes: caches.nodes.values(), server: cluster.server }),
    namespaces: [namespace, crateOperator.namespace],
  }
  return {
    ...{ accepted, caches, journal, cluster, sql, clock },
    probe: parts.probe ?? ((place, signal) => probeBucket(place, { clock, rules: endpoints, user: 'database' }, signal)),
    operatorRelease: () => operatorReleaseNow(operator, operatorAt),
    backupImage: () => backupImageNow(operator, operatorAt),
    heapDumpVolume: () => heapDumpVolumeNow(operator, operatorAt, databases.heapDumpVolume),
    config: {
      region: region.id,
      imageRegistry: databases.imageRegistry,
      timeouts: operations.timeouts,
      namespace,
      allowedKeys: metadata,
      hostFolders: recovery.import.hostFolders,
      endpoints,
    },
  }
}
