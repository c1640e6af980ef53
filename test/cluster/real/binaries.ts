import { accessSync, constants } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** What `build.sh` builds: the version, and the revision of the build. */
const version = '1.20.2-2'
const needed = ['etcd', 'kube-apiserver', 'kube-controller-manager'] as const

export type Binaries = Record<(typeof needed)[number], string>

/** The folder outside the checkout in which downloads and builds are kept for the next run. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'skerry')
}

/** The folder that `build.sh` fills; kube-scheduler, kubelet and kube-proxy are there too. */
export function builtFolder(): string {
  return join(cacheFolder(), `kubernetes-${version}`)
}

/**
 * Where the binaries of a control plane are: in `KUBEBUILDER_ASSETS` when set, else in the cache.
 * Throws with the command that builds them when one is missing.
 */
export function findBinaries(): Binaries {
  const given = process.env.KUBEBUILDER_ASSETS
  const folder = given || builtFolder()
  const missing = needed.filter((name) => !isExecutable(join(folder, name)))
  if (missing.length > 0) {
    // An envtest folder brings no controller manager, without which namespaces never end and nothing is collected.
    const cure = given ? 'Put them there, or unset KUBEBUILDER_ASSETS and run' : 'Build them once with'
    throw new Error(`No ${missing.join(', ')} in ${folder}. ${cure} test/cluster/real/build.sh (Debian 12, about five minutes).`)
  }
  return {
    etcd: join(folder, 'etcd'),
    'kube-apiserver': join(folder, 'kube-apiserver'),
    'kube-controller-manager': join(folder, 'kube-controller-manager'),
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
