// The flags of a control plane's programs, by version.

/** Flags of etcd. @param folder for its data */
export function etcdArgs(folder: string, port: number): string[] {
  return [
    `--data-dir=${folder}/etcd`,
    `--listen-client-urls=http://127.0.0.1:${port}`,
    `--advertise-client-urls=http://127.0.0.1:${port}`,
    '--listen-peer-urls=http://127.0.0.1:0', // no peer ever comes
    '--unsafe-no-fsync', // data survives a killed process, not a power cut: enough for a test
    // It elects itself; by default it would wait a second before that.
    '--heartbeat-interval=20',
    '--election-timeout=100',
  ]
}

/** The first address of the Service range below: that of `kubernetes`. */
export const apiServiceAddress = '10.0.0.1'

/** The addresses of an API server and its etcd. `address` as in `startRealCluster`. */
export type ApiServerPlace = { apiPort: number; etcdPort: number; address: string | undefined }

/**
 * Admission plugins that are not on by default: those of `SKERRY_ADMISSION_PLUGINS`, names with commas between them, such as
 * `OwnerReferencesPermissionEnforcement`, which OpenShift turns on.
 */
export function admissionPluginsOf({ SKERRY_ADMISSION_PLUGINS = '' }: NodeJS.ProcessEnv): string[] {
  return SKERRY_ADMISSION_PLUGINS.split(',').filter((name) => name !== '')
}

/** Flags of kube-apiserver; every version since 1.20 has all of them. @param folder with the files of `writeFiles` */
export function apiServerArgs(folder: string, { apiPort, etcdPort, address }: ApiServerPlace, admissionPlugins: string[] = []): string[] {
  return [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    `--bind-address=${address ?? '127.0.0.1'}`,
    `--advertise-address=${address ?? '127.0.0.1'}`,
    `--secure-port=${apiPort}`,
    `--tls-cert-file=${folder}/server.crt`,
    `--tls-private-key-file=${folder}/server.key`,
    `--cert-dir=${folder}`,
    `--token-auth-file=${folder}/tokens.csv`,
    '--authorization-mode=RBAC',
    ...(admissionPlugins.length === 0 ? [] : [`--enable-admission-plugins=${admissionPlugins.join(',')}`]),
    `--service-account-key-file=${folder}/sa.pub`,
    `--service-account-signing-key-file=${folder}/sa.key`,
    '--service-account-issuer=https://kubernetes.default.svc',
    '--service-cluster-ip-range=10.0.0.0/24',
    ...(address === undefined
      ? [
          '--disable-admission-plugins=ServiceAccount', // pods may be created before their account
          '--endpoint-reconciler-type=none', // "kubernetes" needs no endpoints: nothing reaches it from a pod network
        ]
      : ['--kubelet-preferred-address-types=InternalIP']),
    '--allow-privileged=true', // CrateDB's init container is
  ]
}

/**
 * Flags of kube-controller-manager.
 *
 * @param folder with the files of `writeFiles`
 * @param minor of its version: 20 for 1.20
 */
export function managerArgs(folder: string, { address, minor }: { address: string | undefined; minor: number }): string[] {
  return [
    `--kubeconfig=${folder}/kubeconfig`,
    `--service-account-private-key-file=${folder}/sa.key`,
    ...(address === undefined ? [] : [`--root-ca-file=${folder}/ca.crt`]),
    `--cert-dir=${folder}`,
    ...(minor < 24 ? ['--port=0'] : []), // no insecure port; 1.24 removed the port and the flag
    '--secure-port=0',
    '--leader-elect=false',
    '--controllers=*,-nodeipam,-cloud-node-lifecycle',
    '--enable-hostpath-provisioner', // kubernetes.io/host-path: real folders, deleted with their volumes
    // With its default of 20 requests a second, tests would wait for the garbage collector.
    '--kube-api-qps=500',
    '--kube-api-burst=1000',
  ]
}

/**
 * The minor version in the `--version` output of a Kubernetes program: 20 of `Kubernetes v1.20.2`.
 *
 * @throws Error for any other output
 */
export function minorVersion(printed: string): number {
  const minor = /^Kubernetes v1\.(\d+)\./.exec(printed)?.[1]
  if (minor === undefined) throw new Error(`is no version of Kubernetes: ${printed}`)
  return Number(minor)
}
