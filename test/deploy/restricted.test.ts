import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Manifest } from './helm.ts'
import { restrictedFaults } from './restricted.ts'

const good = (): Manifest => ({
  metadata: { annotations: {} },
  spec: {
    securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
    volumes: [{ name: 'tls', secret: {} }],
    containers: [
      {
        name: 'agent',
        ports: [{ containerPort: 8443 }],
        readinessProbe: { httpGet: { path: '/readyz' } },
        resources: { requests: { memory: '1Mi' }, limits: { memory: '1Mi' } },
        securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      },
    ],
  },
})

test('a pod that keeps to the restricted profile has no faults', () => assert.deepEqual(restrictedFaults(good()), []))

type Change = (pod: Manifest['spec'], container: Manifest, metadata: Manifest) => void
const cases: [fault: string, change: Change][] = [
  ['hostNetwork', (pod) => Object.assign(pod, { hostNetwork: true })],
  ['hostPID', (pod) => Object.assign(pod, { hostPID: true })],
  ['hostIPC', (pod) => Object.assign(pod, { hostIPC: true })],
  ['hostProcess', (pod) => Object.assign(pod.securityContext, { windowsOptions: { hostProcess: true } })],
  ['seLinuxOptions', (pod) => Object.assign(pod.securityContext, { seLinuxOptions: { user: 'x' } })],
  ['sysctl kernel.msgmax', (pod) => Object.assign(pod.securityContext, { sysctls: [{ name: 'kernel.msgmax' }] })],
  ['container.apparmor.security', (_pod, _, metadata) => Object.assign(metadata.annotations, { 'container.apparmor.security': 'x' })],
  ['volume host of type hostPath', (pod) => pod.volumes.push({ name: 'host', hostPath: {} })],
  ['agent: runAsNonRoot', (pod) => delete pod.securityContext.runAsNonRoot],
  ['agent: runAsUser', (pod) => Object.assign(pod.securityContext, { runAsUser: 0 })],
  ['agent: seccompProfile', (pod) => delete pod.securityContext.seccompProfile],
  ['agent: privileged', (_, { securityContext }) => Object.assign(securityContext, { privileged: true })],
  ['agent: procMount', (_, { securityContext }) => Object.assign(securityContext, { procMount: 'Unmasked' })],
  ['agent: seLinuxOptions', (_, { securityContext }) => Object.assign(securityContext, { seLinuxOptions: {} })],
  ['agent: allowPrivilegeEscalation', (_, { securityContext }) => delete securityContext.allowPrivilegeEscalation],
  ['agent: capabilities.drop', (_, { securityContext }) => Object.assign(securityContext.capabilities, { drop: ['NET_RAW'] })],
  ['agent: capabilities.add', (_, { securityContext }) => Object.assign(securityContext.capabilities, { add: ['SYS_TIME'] })],
  ['agent: readOnlyRootFilesystem', (_, { securityContext }) => delete securityContext.readOnlyRootFilesystem],
  ['agent: hostPort', (_, { ports }) => Object.assign(ports[0], { hostPort: 8443 })],
  ['agent: host of a probe', (_, { readinessProbe }) => Object.assign(readinessProbe.httpGet, { host: 'elsewhere' })],
  ['agent: no request', (_, { resources }) => delete resources.requests],
  ['agent: no limit', (_, { resources }) => delete resources.limits],
]
for (const [fault, change] of cases)
  test(`it is noticed: ${fault}`, () => {
    const pod = good()
    change(pod.spec, pod.spec.containers[0], pod.metadata)
    assert.deepEqual(restrictedFaults(pod), [fault])
  })
