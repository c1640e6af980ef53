import type { TestCluster } from '../test-cluster.ts'
import { type CrateOperatorStandIn, type OperatorOptions, runCrateOperator } from './crate-operator/index.ts'
import { type DatabaseStandIn, serveDatabases } from './database.ts'
import { createDatabases } from './databases.ts'
import { installDefinition } from './definition.ts'
import { type KubeletOptions, type KubeletStandIn, runKubelet } from './kubelet.ts'
import { type LoadBalancerStandIn, runLoadBalancer } from './load-balancer.ts'
import { createNodes, createStorageClasses, type NodeShape, nodeShapes } from './nodes.ts'
import { runStatefulSets } from './statefulsets.ts'
import { runVolumes, type VolumeStandIn } from './volumes.ts'
import { openWorld, type World, type WorldOptions } from './world.ts'

/** Options of the stand-ins. */
export type StandInOptions = WorldOptions & {
  /** How many nodes, or which ones. By default, three small servers. */
  nodes?: number | NodeShape[]
  /** The reclaim policy of volumes. */
  reclaimPolicy?: 'Delete' | 'Retain'
  operator?: Partial<OperatorOptions>
  /** False for databases without pods, which are cheap by the thousand: the operator treats each as running. */
  pods?: boolean
  kubelet?: KubeletOptions
  loadBalancer?: { never?: boolean }
}

/** The stand-ins of one cluster, which behaves as if it had nodes, storage, a load balancer and a Crate Operator. */
export type StandIns = {
  operator: CrateOperatorStandIn
  kubelet: KubeletStandIn
  volumes: VolumeStandIn
  loadBalancer: LoadBalancerStandIn
  database: DatabaseStandIn
  /** The connection and the watches that all stand-ins share. */
  world: World
  stop(): Promise<void>
}

/** Starts all stand-ins, and creates the CRD of CrateDB if it is missing. A real control plane runs its own StatefulSet controller. */
export async function startStandIns(cluster: TestCluster, options: StandInOptions = {}): Promise<StandIns> {
  const {
    nodes = 3,
    reclaimPolicy = 'Delete',
    pods = true,
    operator: operatorOptions = {},
    kubelet: kubeletOptions,
    loadBalancer: balancerOptions,
    ...given
  } = options
  const world = await openWorld(cluster, given)
  await installDefinition(world)
  await Promise.all([createNodes(world, typeof nodes === 'number' ? nodeShapes(nodes) : nodes), createStorageClasses(world, reclaimPolicy)])
  const statefulSets = world.plane === 'embedded' && pods ? await runStatefulSets(world) : undefined
  const volumes = await runVolumes(world)
  const kubelet = await runKubelet(world, kubeletOptions)
  const loadBalancer = await runLoadBalancer(world, balancerOptions)
  const databases = await createDatabases(world)
  const database = await serveDatabases(databases)
  const operator = await runCrateOperator(world, databases, { withoutPods: !pods, ...operatorOptions })
  return {
    operator,
    kubelet,
    volumes,
    loadBalancer,
    database,
    world,
    async stop() {
      await operator.stop()
      await database.stop()
      databases.stop()
      await Promise.all([loadBalancer.stop(), kubelet.stop(), volumes.stop(), statefulSets?.stop()])
      await world.close()
    },
  }
}
