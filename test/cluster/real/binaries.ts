import { accessSync, constants } from 'node:fs'
import { homedir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What `build.sh` builds: the version, and the revision of the build. */
const version = '1.20.2-2'
const needed = ['etcd', 'kube-apiserver', 'kube-controller-manager'] as const

export type Binaries = Record<(typeof needed)[number], string>

/** The folder outside the checkout that keeps downloads and builds for later runs. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'skerry')
}

/** The folder that `build.sh` fills, with kube-scheduler, kubelet and kube-proxy too. */
export function builtFolder(): string {
  return join(cacheFolder(), `kubernetes-${version}`)
}

/**
 * The paths of a control plane's binaries: in `KUBEBUILDER_ASSETS` if that is set, else in the cache.
 * @throws Error that names the missing ones and the command that builds them
 */
export function findBinaries(): Binaries {
  const given = process.env.KUBEBUILDER_ASSETS
  const folder = given || builtFolder()
  const missing = needed.filter((name) => !isExecutable(join(folder, name)))
  if (missing.length > 0) {
    // An envtest folder has no controller manager, without which namespaces never end and nothing is collected.
    const build = relative(process.cwd(), fileURLToPath(new URL('./build.sh', import.meta.url)))
    const cure = given ? 'Put them there, or unset KUBEBUILDER_ASSETS and run' : 'Build them once with'
    throw new Error(`No ${missing.join(', ')} in ${folder}. ${cure} ${build} (Debian 12, about five minutes).`)
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
