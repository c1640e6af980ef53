import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { listed } from '../region/obstacles/evidence.ts'
import { storageClassesOf } from '../region/status.ts'
import { backupImageOf, backupImageVariable } from '../resources/backup-image.ts'
import { heapDumpVolumeOf } from '../resources/heap-dump-volume.ts'
import type { Evidence } from './evidence.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** The classes that databases request: the usual one, and the one for local disks. */
export const crateClasses = ['crate-premium', 'crate-local'] as const

/** Provisioners whose volumes are folders on a node: the kubelet does not measure their usage. */
const folders = [
  'kubernetes.io/host-path',
  'docker.io/hostpath',
  'k8s.io/minikube-hostpath',
  'microk8s.io/hostpath',
  'rancher.io/local-path',
  'openebs.io/local',
  'hostpath.csi.k8s.io',
]
/** All provisioners whose volumes stay on one node. */
const local = [...folders, 'kubernetes.io/no-provisioner', 'local.csi.openebs.io', 'topolvm.io', 'topolvm.cybozu.com']

/** Whether the classes that databases request exist, and the limitations of their volumes. */
export function storageClasses({ storageClasses, nodes, kubernetes }: Evidence): Finding[] {
  if (!storageClasses) return []
  if (storageClasses.length === 0) {
    const action = 'Install a CSI driver, or local-path-provisioner on a single host, and create a class for it.'
    return [fail('storage-classes', 'the cluster has no storage class', 'No data can be stored.', action)]
  }
  const isGke = kubernetes.includes('-gke.') || (nodes ?? []).some(({ spec }) => String(spec?.providerID ?? '').startsWith('gce://'))
  return crateClasses.flatMap((name) => {
    const found = storageClasses.find(({ metadata }) => metadata.name === name)
    return found ? judgeClass(found, isGke) : [missing(name, storageClasses)]
  })
}

function missing(name: string, classes: KubernetesObject[]): Finding {
  const source = sourceFor(name, classes)
  const why =
    name === 'crate-premium'
      ? 'Databases request it by name: their volumes would wait forever.'
      : 'Databases that request local disks cannot be created. Nothing else needs it.'
  const make = source
    ? `Create it like ${source}: node agent.mjs preflight --print-storage-classes ${source} | kubectl apply -f -   (or ./install.sh --create-storage-classes ${source})`
    : `Create it like one of ${listed(classes.map(({ metadata }) => metadata.name))}: ./install.sh --create-storage-classes NAME`
  return warn(`storage-class-missing/${name}`, `there is no storage class ${name}`, why, make)
}

/** The best class to make a missing one from: of the same kind, preferably the default class. */
function sourceFor(name: string, classes: KubernetesObject[]): string | undefined {
  const isLocal = ({ provisioner }: KubernetesObject) => local.includes(provisioner)
  const facts = storageClassesOf(classes)
  const isDefault = ({ metadata }: KubernetesObject) => facts.some((fact) => fact.name === metadata.name && fact.isDefault)
  const fitting = classes.filter((each) => (name === 'crate-local' ? isLocal(each) : true))
  return (fitting.find(isDefault) ?? fitting[0])?.metadata.name
}

function judgeClass(found: KubernetesObject, isGke: boolean): Finding[] {
  const { name } = found.metadata
  const provisioner = String(found.provisioner ?? '')
  const findings: Finding[] = []
  if (isGke && local.includes(provisioner)) {
    findings.push(
      fail(
        `storage-class-gke-local/${name}`,
        `${name} makes local volumes (${provisioner}) on GKE`,
        'They do not suit databases there: GKE replaces a node on every upgrade and repair, and deletes its local disks with it.',
        `Create ${name} like a class of pd.csi.storage.gke.io, such as premium-rwo. Volumes stay when their class is deleted: kubectl delete storageclass ${name}; ./install.sh --create-storage-classes premium-rwo`,
      ),
    )
  }
  if (folders.includes(provisioner)) {
    findings.push(
      warn(
        `storage-class-no-usage/${name}`,
        `${name} makes volumes that are folders of a node (${provisioner})`,
        'Such volumes report no usage: no metric or alert shows that one fills up, and it fills the disk of the node.',
        'Watch the disks of the nodes instead, or use a CSI driver whose volumes have a size of their own, such as LVM.',
      ),
    )
  }
  if (found.allowVolumeExpansion !== true) {
    const why = 'A database that needs more space must be created again and restored.'
    const action = `If ${provisioner} can grow volumes: kubectl patch storageclass ${name} -p '{"allowVolumeExpansion":true}'`
    findings.push(warn(`storage-class-fixed/${name}`, `volumes of ${name} cannot grow`, why, action))
  }
  if (local.includes(provisioner) && found.volumeBindingMode !== 'WaitForFirstConsumer') {
    const why = 'A volume is created on any node before its pod is scheduled, and the pod can run nowhere else.'
    const action = `Delete the class and create it again with volumeBindingMode: WaitForFirstConsumer; existing volumes do not change.`
    findings.push(warn(`storage-class-immediate/${name}`, `${name} places local volumes before the pods`, why, action))
  }
  return findings.length > 0 ? findings : [ok(`storage-class/${name}`, `${name} (${provisioner})`)]
}

/** Components whose claims name no class. */
const withoutClass = ['prometheus', 'loki', 'grafana']

/** Whether claims that name no class get one. */
export function defaultStorageClass({ storageClasses, audience, components }: Evidence): Finding[] {
  const claiming = components.flatMap(({ name }) => (withoutClass.includes(name) ? [name] : []))
  if (!storageClasses || storageClasses.length === 0 || audience === 'agent' || claiming.length === 0) return []
  const names = storageClassesOf(storageClasses).flatMap(({ name, isDefault }) => (isDefault ? [name] : []))
  const [first] = names
  if (names.length === 1) return [ok('storage-class-default', `${first} is the default storage class`)]
  const mark = (name: string, value: boolean) =>
    `kubectl annotate --overwrite storageclass ${name} storageclass.kubernetes.io/is-default-class=${value}`
  if (first === undefined) {
    const why = `The claims of ${listed(claiming)} name no class: their volumes would wait forever.`
    return [warn('storage-class-default', 'there is no default storage class', why, `Choose one: ${mark('NAME', true)}`)]
  }
  const why = 'Which one a claim gets depends on the version of Kubernetes; before 1.26 it is refused.'
  return [warn('storage-class-default', `${listed(names)} are all default storage classes`, why, `Keep one: ${mark(first, false)}`)]
}

/** Whether the Crate Operator, if it runs, takes backups: without an image it does not, and that is how its own chart leaves it. */
export function backupImage({ operator }: Evidence): Finding[] {
  if (!operator) return []
  const what = {
    set: 'the Crate Operator takes the backups of databases that have them',
    missing: `the Crate Operator takes no backups, since it has no ${backupImageVariable}: databases can have those of Skerry, "snapshots"`,
    unknown: `whether the Crate Operator takes backups is not known: its environment comes from a ConfigMap or a Secret, and may have no ${backupImageVariable}`,
  }[backupImageOf(operator)]
  return [ok('backup-image', what)]
}

/** Whether the class exists that the Crate Operator, if it runs, uses for the heap-dump volume of each node of a database. */
export function heapDumps({ operator, storageClasses }: Evidence): Finding[] {
  const { storageClass } = operator ? heapDumpVolumeOf(operator) : {}
  // Another rule reports a cluster without any class.
  const instead = storageClasses && sourceFor('crate-premium', storageClasses)
  if (!operator || !storageClasses || storageClass === undefined || instead === undefined) return []
  if (storageClasses.some(({ metadata }) => metadata.name === storageClass))
    return [ok('heap-dump-class', `the Crate Operator makes heap-dump volumes of the class ${storageClass}`)]
  const { name, namespace } = operator.metadata
  const names = listed(storageClasses.map(({ metadata }) => metadata.name))
  return [
    fail(
      'heap-dump-class',
      `the Crate Operator makes heap-dump volumes of the class ${storageClass}, which does not exist`,
      'Each node of a database gets one: their pods wait forever.',
      `Set an existing one (${names}): kubectl -n ${namespace} set env deployment/${name} CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS=${instead}`,
    ),
  ]
}
