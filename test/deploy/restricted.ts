import type { Manifest } from './helm.ts'

const volumeTypes = ['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'persistentVolumeClaim', 'projected', 'secret']
const sysctls = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
]

/**
 * What of a pod the Pod Security Standards' profile `restricted` refuses, field by field as its tables have them
 * (https://kubernetes.io/docs/concepts/security/pod-security-standards/), and what else we ask of ours.
 */
export function restrictedFaults({ metadata, spec }: Manifest): string[] {
  const faults: string[] = []
  const refuse = (isWrong: boolean, fault: string) => isWrong && faults.push(fault)
  const pod = spec.securityContext ?? {}

  // Baseline
  for (const field of ['hostNetwork', 'hostPID', 'hostIPC']) refuse(spec[field] === true, field)
  refuse(pod.windowsOptions?.hostProcess === true, 'hostProcess')
  refuse(pod.seLinuxOptions !== undefined, 'seLinuxOptions')
  for (const { name } of pod.sysctls ?? []) refuse(!sysctls.includes(name), `sysctl ${name}`)
  for (const key of Object.keys(metadata?.annotations ?? {})) refuse(key.startsWith('container.apparmor.'), key)

  // Restricted
  for (const { name, ...kinds } of spec.volumes ?? [])
    for (const kind of Object.keys(kinds)) refuse(!volumeTypes.includes(kind), `volume ${name} of type ${kind}`)

  for (const container of [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])]) {
    const own = container.securityContext ?? {}
    const fault = (what: string) => `${container.name}: ${what}`
    refuse(own.privileged === true, fault('privileged'))
    refuse(own.procMount !== undefined && own.procMount !== 'Default', fault('procMount'))
    refuse(own.seLinuxOptions !== undefined, fault('seLinuxOptions'))
    refuse(own.allowPrivilegeEscalation !== false, fault('allowPrivilegeEscalation'))
    refuse((own.runAsNonRoot ?? pod.runAsNonRoot) !== true, fault('runAsNonRoot'))
    refuse((own.runAsUser ?? pod.runAsUser) === 0, fault('runAsUser'))
    refuse(!['RuntimeDefault', 'Localhost'].includes((own.seccompProfile ?? pod.seccompProfile)?.type), fault('seccompProfile'))
    refuse(own.capabilities?.drop?.includes('ALL') !== true, fault('capabilities.drop'))
    refuse(
      (own.capabilities?.add ?? []).some((each: string) => each !== 'NET_BIND_SERVICE'),
      fault('capabilities.add'),
    )
    for (const { hostPort } of container.ports ?? []) refuse(hostPort !== undefined && hostPort !== 0, fault('hostPort'))
    const hooks = [
      container.livenessProbe,
      container.readinessProbe,
      container.startupProbe,
      container.lifecycle?.preStop,
      container.lifecycle?.postStart,
    ]
    for (const hook of hooks) refuse((hook?.httpGet?.host ?? hook?.tcpSocket?.host) !== undefined, fault('host of a probe'))

    // Ours
    refuse(own.readOnlyRootFilesystem !== true, fault('readOnlyRootFilesystem'))
    refuse(container.resources?.requests?.memory === undefined, fault('no request'))
    refuse(container.resources?.limits?.memory === undefined, fault('no limit'))
  }
  return faults
}
