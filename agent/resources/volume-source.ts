import { posix } from 'node:path'
import canonicalize from 'canonicalize'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'

/** Kinds of volumes in `spec` of a PersistentVolume that Skerry makes again: each names data that some storage has, and nothing else. */
const knownSources = [
  'csi',
  'cinder',
  'awsElasticBlockStore',
  'azureDisk',
  'gcePersistentDisk',
  'vsphereVolume',
  'hostPath',
  'local',
] as const

/** Members of `spec` that say nothing about where the data is. */
const notSources = new Set([
  'accessModes',
  'capacity',
  'claimRef',
  'mountOptions',
  'nodeAffinity',
  'persistentVolumeReclaimPolicy',
  'storageClassName',
  'volumeAttributesClassName',
  'volumeMode',
])

/** Secrets that a CSI volume names, and the parameter of its StorageClass that names the same one. */
const secretsOfCsi = {
  controllerPublishSecretRef: 'controller-publish',
  nodeStageSecretRef: 'node-stage',
  nodePublishSecretRef: 'node-publish',
  controllerExpandSecretRef: 'controller-expand',
  nodeExpandSecretRef: 'node-expand',
} as const

/** The Secret with which external-provisioner deletes a volume (its controller.go), and the parameter of the class that names the same one. */
const secretOfDeletion = {
  name: 'volume.kubernetes.io/provisioner-deletion-secret-name',
  namespace: 'volume.kubernetes.io/provisioner-deletion-secret-namespace',
  parameter: 'provisioner',
} as const

/** The names of the source of a PersistentVolume's data: exactly one, unless somebody wrote it wrong. */
function sourcesIn(spec: Record<string, unknown>): string[] {
  return Object.keys(spec).filter((name) => !notSources.has(name))
}

/**
 * In-tree volumes: the member that names the disk, and the CSI driver that has it by the same handle after its migration (csi-translation-lib,
 * plugins). The other members of such a source do not say where the data is, and API servers fill them in: `cachingMode`, `fsType`. The handle of
 * Google's driver has the project and the zone too, which the volume does not say.
 */
const inTree = {
  cinder: { member: 'volumeID', driver: 'cinder.csi.openstack.org' },
  awsElasticBlockStore: { member: 'volumeID', driver: 'ebs.csi.aws.com' },
  azureDisk: { member: 'diskURI', driver: 'disk.csi.azure.com' },
  gcePersistentDisk: { member: 'pdName', driver: undefined },
  vsphereVolume: { member: 'volumePath', driver: 'csi.vsphere.vmware.com' },
} as const

/** The disk of an in-tree volume. One of AWS may be written as `aws://ZONE/vol-1` (aws_ebs.go, KubernetesVolumeIDToEBSVolumeID). */
function diskIn(spec: Record<string, Record<string, unknown> | undefined>): { disk: string; source: keyof typeof inTree } | undefined {
  const sources = Object.keys(inTree) as (keyof typeof inTree)[]
  const source = sources.find((each) => typeof spec[each]?.[inTree[each].member] === 'string')
  if (source === undefined) return undefined
  const disk = String(spec[source]?.[inTree[source].member])
  return { disk: source === 'awsElasticBlockStore' ? disk.replace(/^aws:\/\/[^/]*\/+/, '') : disk, source }
}

/** Where the data of a volume is: the storage driver's name for it; a path for a volume of the host. */
export function handleOf({ spec }: KubernetesObject): string | undefined {
  return spec.csi?.volumeHandle ?? diskIn(spec)?.disk ?? spec.hostPath?.path ?? spec.local?.path
}

/**
 * Where the data of a PersistentVolume is: two with the same text are the same data. A path is one on its host. In-tree volumes are those of
 * their CSI driver. Undefined if that cannot be said.
 */
export function dataOf({ spec = {} }: Pick<KubernetesObject, 'spec'>): string | undefined {
  const { csi, hostPath, local, nodeAffinity } = spec
  if (typeof csi?.driver === 'string' && typeof csi.volumeHandle === 'string') return `csi ${csi.driver} ${csi.volumeHandle}`
  const disk = diskIn(spec)
  if (disk) return `${inTree[disk.source].driver === undefined ? disk.source : `csi ${inTree[disk.source].driver}`} ${disk.disk}`
  const path: unknown = hostPath?.path ?? local?.path
  if (typeof path === 'string') return `path ${canonicalize(nodeAffinity?.required ?? null)} ${plainPath(path)}`
  const [source, ...others] = sourcesIn(spec)
  return source === undefined || others.length > 0 ? undefined : `${source} ${canonicalize(spec[source])}`
}

/** The shortest text of a path on a host. */
function plainPath(path: string): string {
  const plain = posix.normalize(path)
  return plain.length > 1 && plain.endsWith('/') ? plain.slice(0, -1) : plain
}

type NamedVolume = { metadata: { name: string; annotations?: Record<string, string> | undefined }; spec: KubernetesObject['spec'] }

export type SourceRules = {
  /** Folders of hosts in which volumes may be. */
  hostFolders: readonly string[]
  /** The storage class of the volume, if there is one of that name. */
  storageClass: KubernetesObject | undefined
}

/**
 * Why Skerry does not make this PersistentVolume: whoever may name any folder of a host, or any Secret, has the whole cluster. An administrator
 * can make it; a volume that stands is taken. Undefined if nothing is wrong with it.
 */
export function sourceFault({ metadata, spec }: NamedVolume, { hostFolders, storageClass }: SourceRules): string | undefined {
  const sources = sourcesIn(spec)
  const [source] = sources
  if (sources.length !== 1 || !(knownSources as readonly (string | undefined)[]).includes(source))
    return `its data is in ${sources.length === 0 ? 'nothing' : sources.join(' and ')}, and Skerry makes volumes of ${knownSources.join(', ')} alone`
  const path: unknown = spec.hostPath?.path ?? spec.local?.path
  if (path !== undefined && !isWithin(path, hostFolders))
    return `its folder ${JSON.stringify(path)} is outside of those in which volumes of hosts may be (recovery.import.hostFolders)`
  if (spec.cinder?.secretRef !== undefined)
    return 'it names a Secret for the API of OpenStack (cinder.secretRef), as only an administrator may'
  const { name, namespace, parameter } = secretOfDeletion
  const ofDeletion = { name: metadata.annotations?.[name] || undefined, namespace: metadata.annotations?.[namespace] || undefined }
  const isForeign =
    (ofDeletion.name ?? ofDeletion.namespace) !== undefined && !isSecretOf(storageClass, parameter, ofDeletion, { metadata, spec })
  if (isForeign) return `its annotation ${name} is not the Secret that its storage class names`
  if (source !== 'csi') return undefined
  const named = Object.keys(secretsOfCsi).filter((name) => spec.csi[name] !== undefined) as (keyof typeof secretsOfCsi)[]
  const foreign = named.find((name) => !isSecretOf(storageClass, secretsOfCsi[name], spec.csi[name], { metadata, spec }))
  return foreign && `its ${foreign} is not the Secret that its storage class names`
}

function isWithin(path: unknown, folders: readonly string[]): boolean {
  if (typeof path !== 'string' || path !== plainPath(path)) return false
  return folders.some((folder) => path.startsWith(folder.endsWith('/') ? folder : `${folder}/`))
}

/** With the templates of external-provisioner (kubernetes-csi.github.io, secrets and credentials) that need no annotation of a claim. */
function isSecretOf(
  storageClass: KubernetesObject | undefined,
  what: string,
  given: { name?: unknown; namespace?: unknown },
  { metadata, spec }: NamedVolume,
): boolean {
  const parameters = (storageClass?.parameters ?? {}) as Record<string, string>
  const known: Record<string, string> = {
    '${pv.name}': metadata.name,
    '${pvc.name}': spec.claimRef?.name ?? '',
    '${pvc.namespace}': spec.claimRef?.namespace ?? '',
  }
  const filled = (part: 'name' | 'namespace') =>
    parameters[`csi.storage.k8s.io/${what}-secret-${part}`]?.replaceAll(/\$\{[^}]*\}/g, (template) => known[template] ?? template)
  return filled('name') === given?.name && filled('namespace') === given?.namespace
}
