import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { compareBytes } from '../../../shared/kubernetes/quantity.ts'
import type { Cure } from '../../resources/cure.ts'
import { holdsData } from '../../resources/data-claims.ts'
import type { Obstacle } from '../../resources/operation.ts'
import { cures } from './cures.ts'
import { describeObject, type Evidence, type Finding, gather, isReady, latestEvent, listed, tell } from './evidence.ts'
import { claimsOf } from './finalizers.ts'

/** A claim without a volume, with the reason: its class does not exist, or the provisioner failed or does not respond. */
export function volumeNotBound(evidence: Evidence): Obstacle[] {
  const waiting = evidence.claims.filter(({ status, metadata }) => status?.phase !== 'Bound' && metadata.deletionTimestamp === undefined)
  return gather(
    'VolumeNotBound',
    waiting.flatMap((claim) => unbound(claim, evidence)),
  )
}

function unbound(claim: KubernetesObject, { storageClasses, events, pods }: Evidence): Finding[] {
  const { namespace = '', name } = claim.metadata
  const { lost, class: noClass, debugClass, defaultClass, failed: mend, volumes, driver } = cures.VolumeNotBound
  const named = { namespace, claim: name }
  const finding = (message: string, cure: Cure): Finding[] => [{ object: claim, message, cures: [cure] }]
  if (claim.status?.phase === 'Lost')
    return finding(`Its volume ${claim.spec?.volumeName} no longer exists, nor does its data.`, lost(named))
  const className: string | undefined = claim.spec?.storageClassName || undefined
  const found = storageClasses?.find(({ metadata }) => metadata.name === className)
  const known = storageClasses && listed(storageClasses.map(({ metadata }) => metadata.name).sort())
  if (className !== undefined && storageClasses && !found)
    return finding(
      `There is no storage class ${className}; the cluster has ${storageClasses.length === 0 ? 'none' : known}.`,
      name.startsWith('debug-') ? debugClass() : noClass(),
    )
  if (className === undefined && !claim.spec?.volumeName)
    return finding('It names no storage class, and the cluster has no default one.', defaultClass())
  const failed = latestEvent(events, claim, ({ type, reason }) => type === 'Warning' || reason === 'FailedBinding')
  if (failed) return finding(`Storage class ${className} provides no volume: ${failed.message}`, mend(named))
  // With this mode a claim waits for its pod by design. Another rule reports a pod that is not scheduled.
  const isUsed = pods.some((pod) => pod.spec?.nodeName !== undefined && claimsOf(pod).includes(name))
  if (found?.volumeBindingMode === 'WaitForFirstConsumer' && !isUsed && !claim.metadata.annotations?.['volume.kubernetes.io/selected-node'])
    return []
  const provisioner = found?.provisioner as string | undefined
  return finding(
    provisioner === 'kubernetes.io/no-provisioner'
      ? `No free volume of storage class ${className} fits, and none is created automatically (no-provisioner).`
      : `Storage class ${className} has provided no volume yet${provisioner ? `; its provisioner is ${provisioner}` : ''}.`,
    provisioner === 'kubernetes.io/no-provisioner' ? volumes() : driver(named),
  )
}

/** A disk is to grow, but its storage class does not allow that. */
export function classCannotGrow({ databases, claims, storageClasses, target }: Evidence): Obstacle[] {
  const [database] = databases
  if (target.kind !== 'database' || !database || !storageClasses) return []
  type Group = { name?: string; resources?: { disk?: { size?: string } } }
  const groups: Group[] = [
    ...(database.spec?.nodes?.data ?? []),
    ...(database.spec?.nodes?.master ? [{ ...database.spec.nodes.master, name: 'master' }] : []),
  ]
  return gather(
    'ClassCannotGrow',
    claims.flatMap((claim): Finding[] => {
      const group = groups.find(({ name }) => name === claim.metadata.labels?.['cloud.crate.io/node-name'])
      const size = group?.resources?.disk?.size
      const has: string = claim.spec?.resources?.requests?.storage ?? ''
      const found = storageClasses.find(({ metadata }) => metadata.name === claim.spec?.storageClassName)
      if (!holdsData(claim.metadata.name) || size === undefined || !found || found.allowVolumeExpansion) return []
      if ((compareBytes(size, has) ?? 0) <= 0) return []
      return [
        {
          object: claim,
          message: `The disk is to grow from ${has} to ${size}, but storage class ${found.metadata.name} does not let volumes grow.`,
          cures: [cures.ClassCannotGrow.allow({ class: found.metadata.name }), cures.ClassCannotGrow.wait({ size: has })],
        },
      ]
    }),
  )
}

/** The storage driver fails to resize a volume. */
export function volumeNotResized({ claims, events }: Evidence): Obstacle[] {
  return gather(
    'VolumeNotResized',
    claims.flatMap((claim): Finding[] => {
      const { requests } = claim.spec?.resources ?? {}
      if ((compareBytes(requests?.storage ?? '', claim.status?.capacity?.storage ?? '') ?? 0) <= 0) return []
      const failed = latestEvent(events, claim, ({ reason }) => reason === 'VolumeResizeFailed' || reason === 'FileSystemResizeFailed')
      if (!failed) return []
      return [
        {
          object: claim,
          message: `The volume does not grow to ${requests.storage}: ${failed.message}`,
          cures: [cures.VolumeNotResized.describe({ namespace: claim.metadata.namespace ?? '', claim: claim.metadata.name })],
        },
      ]
    }),
  )
}

/** A volume is still attached to a node that is gone or does not answer, while its pod is to start on another node. */
export function volumeAttachmentOnDeadNode({ attachments, claims, pods, nodes }: Evidence): Obstacle[] {
  if (!nodes) return []
  return attachments.flatMap((attachment): Obstacle[] => {
    const nodeName: string = attachment.spec?.nodeName
    const node = nodes.find(({ metadata }) => metadata.name === nodeName)
    const claim = claims.find(({ spec }) => spec?.volumeName === attachment.spec?.source?.persistentVolumeName)
    const waiting = claim && pods.find((pod) => claimsOf(pod).includes(claim.metadata.name) && pod.spec?.nodeName !== nodeName)
    if ((node && isReady(node)) || !waiting) return []
    const { name } = attachment.metadata
    const { describe, detach, removeNode } = cures.VolumeAttachmentOnDeadNode
    return [
      tell({
        code: 'VolumeAttachmentOnDeadNode',
        message: `Volume ${claim.spec.volumeName} is still attached to node ${nodeName}, which ${node ? 'is not ready' : 'no longer exists'}; ${waiting.metadata.name} cannot use it elsewhere.`,
        evidence: describeObject(attachment),
        cures: [describe({ attachment: name }), detach({ attachment: name }), ...(node ? [removeNode({ node: nodeName })] : [])],
      }),
    ]
  })
}

/** A pod has a node, but its volumes are not ready there: with the message of the kubelet or of the attach controller. */
export function volumeNotAttached(evidence: Evidence): Obstacle[] {
  const { pods, events } = evidence
  if (volumeAttachmentOnDeadNode(evidence).length > 0) return []
  return gather(
    'VolumeNotAttached',
    pods.flatMap((pod): Finding[] => {
      if (pod.spec?.nodeName === undefined || pod.status?.phase !== 'Pending' || pod.metadata.deletionTimestamp !== undefined) return []
      const failed = latestEvent(events, pod, ({ reason }) => reason === 'FailedAttachVolume' || reason === 'FailedMount')
      // A missing Secret has a rule of its own.
      if (!failed || /secret "[^"]+" not found/.test(failed.message)) return []
      const { namespace = '', name } = pod.metadata
      return [
        {
          object: pod,
          message: `Its volumes are not ready on node ${pod.spec.nodeName}: ${failed.message}`,
          cures: [cures.VolumeNotAttached.describe({ namespace, pod: name })],
        },
      ]
    }),
  )
}
