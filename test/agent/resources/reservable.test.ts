import assert from 'node:assert/strict'
import { test } from 'node:test'
import { whyNotReservable } from '../../../agent/resources/reservable.ts'
import { retainedVolumeOf } from '../../../agent/resources/retained-record.ts'
import { dataOf } from '../../../agent/resources/volume-source.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'

const owner = { project: 'harbour', database: 'tide' }
const claim = 'project-harbour/data0-crate-data-hot-tide-0'

function volume(source: object, uid = 'u-1', labels?: Record<string, string>): KubernetesObject {
  const [namespace, name] = claim.split('/')
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'pv-1', uid, ...(labels && { labels }) },
    spec: { capacity: { storage: '8Gi' }, persistentVolumeReclaimPolicy: 'Retain', claimRef: { namespace, name }, ...source },
    status: { phase: 'Released' },
  }
}

const onHost = (name: string) => ({
  nodeAffinity: {
    required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [name] }] }] },
  },
})
const azure = '/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks'
type Source = { name: string; source: object; filledIn?: object; other: object; handle: string; driver?: string }
const sources: Source[] = [
  {
    name: 'a CSI volume',
    source: { csi: { driver: 'a.example', volumeHandle: 'vol-1' } },
    filledIn: { csi: { driver: 'a.example', volumeHandle: 'vol-1', fsType: 'ext4' } },
    other: { csi: { driver: 'b.example', volumeHandle: 'vol-1' } },
    handle: 'vol-1',
  },
  {
    name: 'one of OpenStack',
    source: { cinder: { volumeID: '5f0c' } },
    filledIn: { cinder: { volumeID: '5f0c', fsType: 'ext4' } },
    other: { cinder: { volumeID: '5f0d' } },
    handle: '5f0c',
    driver: 'cinder.csi.openstack.org',
  },
  {
    name: 'one of AWS',
    source: { awsElasticBlockStore: { volumeID: 'aws://eu-north-1a/vol-1' } },
    filledIn: { awsElasticBlockStore: { volumeID: 'vol-1', fsType: 'ext4' } },
    other: { awsElasticBlockStore: { volumeID: 'vol-2' } },
    handle: 'vol-1',
    driver: 'ebs.csi.aws.com',
  },
  {
    name: 'one of Azure',
    source: { azureDisk: { diskName: 'one', diskURI: `${azure}/one` } },
    filledIn: { azureDisk: { diskName: 'one', diskURI: `${azure}/one`, cachingMode: 'ReadWrite', fsType: 'ext4', kind: 'Shared' } },
    other: { azureDisk: { diskName: 'two', diskURI: `${azure}/two` } },
    handle: `${azure}/one`,
    driver: 'disk.csi.azure.com',
  },
  {
    name: 'one of Google',
    source: { gcePersistentDisk: { pdName: 'disk-1' } },
    filledIn: { gcePersistentDisk: { pdName: 'disk-1', fsType: 'ext4' } },
    other: { gcePersistentDisk: { pdName: 'disk-2' } },
    handle: 'disk-1',
  },
  {
    name: 'one of vSphere',
    source: { vsphereVolume: { volumePath: '[datastore] one.vmdk' } },
    filledIn: { vsphereVolume: { volumePath: '[datastore] one.vmdk', fsType: 'ext4' } },
    other: { vsphereVolume: { volumePath: '[datastore] two.vmdk' } },
    handle: '[datastore] one.vmdk',
    driver: 'csi.vsphere.vmware.com',
  },
  {
    name: 'a folder of a host',
    source: { hostPath: { path: '/srv/volumes/one' } },
    filledIn: { hostPath: { path: '/srv/volumes/one', type: '' } },
    other: { hostPath: { path: '/srv/volumes/two' } },
    handle: '/srv/volumes/one',
  },
  {
    name: 'a disk of a host',
    source: { local: { path: '/mnt/disks/one' }, ...onHost('quay-1') },
    other: { local: { path: '/mnt/disks/one' }, ...onHost('quay-2') },
    handle: '/mnt/disks/one',
  },
]
for (const { name, source, filledIn = source, other, handle, driver } of sources)
  test(`${name} is the same by where its data is, and its handle is told`, () => {
    const wanted = { ...retainedVolumeOf(volume(source, ''), claim), manifest: volume(source, '') }
    assert.equal(wanted.handle, handle)
    assert.equal(whyNotReservable(volume(filledIn), wanted, owner), undefined)
    assert.equal(whyNotReservable(volume(other), wanted, owner), 'volume pv-1 is another one of that name')
    if (driver !== undefined) assert.equal(dataOf({ spec: source }), dataOf({ spec: { csi: { driver, volumeHandle: handle } } }))
  })

test('volumes of which nobody can say where their data is are not the same', () => {
  const unknown = { manifest: volume({}), ...retainedVolumeOf(volume({}), claim) }
  assert.equal(whyNotReservable(volume({}), unknown, owner), 'volume pv-1 is another one of that name')
})

test('a volume with the labels of another database is not given to this one, though its claim has the same name', () => {
  const source = { csi: { driver: 'a.example', volumeHandle: 'vol-1' } }
  const labelled = (database: string) => volume(source, 'u-1', { 'skerry.dev/project': 'harbour', 'skerry.dev/database': database })
  const wanted = retainedVolumeOf(volume(source), claim)
  assert.equal(whyNotReservable(labelled('tide'), wanted, owner), undefined)
  assert.equal(whyNotReservable(labelled('hot-tide'), wanted, owner), 'volume pv-1 has the data of database harbour/hot-tide')
})
