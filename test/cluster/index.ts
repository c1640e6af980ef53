// The public interface of the package.
export { createServingCertificate, type ServingCertificate } from './certificates.ts'
export type { Clock } from './client/clock.ts'
export type { Change, Collection } from './client/collection.ts'
export { type ApiRequest, type Client, createClient, type ObjectEvent } from './client/connection.ts'
export { type FailureKind, isFailure, RequestFailure } from './client/failures.ts'
export { type Answer, type Body, createHttp, expectCode, type Http, type SendOptions, type Watch, type WatchEvent } from './client/http.ts'
export type { Log } from './client/log.ts'
export type { KubernetesObject } from './client/objects.ts'
export { crateDbDefinition, crateDbDefinition264, snapshotDefinitions } from './crds/index.ts'
export { type EmbeddedOptions, startEmbeddedCluster } from './embedded/index.ts'
export { freePort } from './free-port.ts'
export { type CommandResult, installedTool, kubectl, type Tool } from './kubectl.ts'
export { builtFolder, cacheFolder, findBinaries } from './real/binaries.ts'
export { startRealCluster, useGivenCluster } from './real/index.ts'
export { type Pool, startPool } from './real/pool/index.ts'
export { createDaemons, type Daemon, type Daemons } from './real/processes.ts'
export { seeded } from './seeded.ts'
export { createOperatorDeployment, type OperatorDeployment, unmanagedPod } from './stand-ins/crate-operator/deployment.ts'
export {
  type CrateOperatorStandIn,
  type DatabaseFaults,
  type Faults as OperatorFaults,
  type OperatorOptions,
  startCrateOperatorStandIn,
  type WebhookFaults,
} from './stand-ins/crate-operator/index.ts'
export type { DatabaseStandIn } from './stand-ins/database.ts'
export { type DatabaseState, type Health, isReady } from './stand-ins/databases.ts'
export { type Fixture, type Subject, startFixture } from './stand-ins/fixture.ts'
export { type StandInOptions, type StandIns, startStandIns } from './stand-ins/index.ts'
export { databaseKey } from './stand-ins/index-by.ts'
export { type KubeletOptions, type KubeletStandIn, runKubelet } from './stand-ins/kubelet.ts'
export { type LoadBalancerStandIn, runLoadBalancer } from './stand-ins/load-balancer.ts'
export { createNodes, createStorageClasses, type NodeShape, nodeShapes, provisioner } from './stand-ins/nodes.ts'
export { createQueue, type Queue } from './stand-ins/queue.ts'
export type { StoredSnapshot } from './stand-ins/repository-state.ts'
export { runSnapshots, type SnapshotStandIn } from './stand-ins/snapshots.ts'
export { runVolumes, type VolumeStandIn } from './stand-ins/volumes.ts'
export { openWorld, type World, type WorldOptions } from './stand-ins/world.ts'
export { startCluster } from './start.ts'
export type { Faults, TestCluster } from './test-cluster.ts'
export { until, untilQuotasCount } from './until.ts'
