import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admissionPluginsOf, apiServerArgs, managerArgs, minorVersion } from './flags.ts'

const named = (args: string[]) => args.map((arg) => arg.split('=')[0])

test('a controller manager before 1.24 is told to open no insecure port, and a newer one does not know of any', () => {
  for (const address of [undefined, '10.9.0.1'])
    for (const [minor, has] of [
      [20, true],
      [23, true],
      [24, false],
      [36, false],
    ] as const) {
      const args = managerArgs('/folder', { address, minor })
      assert.equal(args.includes('--port=0'), has, `1.${minor}`)
      assert.ok(args.includes('--secure-port=0'), 'nothing has to reach it')
    }
})

test('admission plugins are turned on beside the usual ones', () => {
  const place = { apiPort: 1, etcdPort: 2, address: undefined }
  const flags = (env: NodeJS.ProcessEnv) =>
    apiServerArgs('/folder', place, admissionPluginsOf(env)).filter((arg) => arg.includes('--enable-'))
  assert.deepEqual(flags({}), [])
  assert.deepEqual(flags({ SKERRY_ADMISSION_PLUGINS: 'A,B' }), ['--enable-admission-plugins=A,B'])
})

test('nothing else of its flags hangs on the version', () => {
  const at = (minor: number) => named(managerArgs('/folder', { address: undefined, minor })).filter((name) => name !== '--port')
  assert.deepEqual(at(20), at(36))
})

const versions: [printed: string, minor: number][] = [
  ['Kubernetes v1.20.2\n', 20],
  ['Kubernetes v1.30.0-rc.1+k3s1', 30],
  ['Kubernetes v1.36.4', 36],
]
for (const [printed, minor] of versions) test(`reads ${minor} of ${printed.trim()}`, () => assert.equal(minorVersion(printed), minor))

test('what prints no version is not started', () => {
  for (const printed of ['', 'etcd Version: 3.5.16', 'Kubernetes v2.1.0'])
    assert.throws(() => minorVersion(printed), /is no version of Kubernetes/)
})
