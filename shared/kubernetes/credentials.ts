import { existsSync, readFileSync } from 'node:fs'
import type { RequestOptions } from 'node:https'
import { homedir } from 'node:os'
import path from 'node:path'
import type { Clock } from '../clock.ts'

/** The address of the API server, and the client's credentials. */
export type Credentials = {
  /** `https://host:port`, with a path where a gateway serves several clusters. */
  server: URL
  /** TLS material and headers for one request. Called for each, since tokens rotate. */
  options(): Promise<Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'headers' | 'servername' | 'rejectUnauthorized'>>
}

/** How long a token is used before it is read again, in milliseconds. The kubelet replaces it long before it expires. */
const tokenAgeMs = 60_000

/**
 * The credentials of the pod's own service account, from the files that the kubelet projects.
 *
 * Read here rather than by @kubernetes/client-node: its configuration module loads the whole generated API, 40 MiB that an edge box
 * needs for other things (docs/decisions/0002).
 *
 * @param directory holds `token` and `ca.crt`
 * @throws the file system's error when a file is missing
 */
export function serviceAccountCredentials(directory: string, server: URL, clock: Clock): Credentials {
  const ca = readFileSync(path.join(directory, 'ca.crt'))
  let token = ''
  let readAt = Number.NEGATIVE_INFINITY
  return {
    server,
    options: async () => {
      if (clock.monotonic() - readAt >= tokenAgeMs) {
        token = readFileSync(path.join(directory, 'token'), 'utf8').trim()
        readAt = clock.monotonic()
      }
      return { ca, headers: { authorization: `Bearer ${token}` } }
    },
  }
}

/**
 * The kubeconfigs that kubectl uses unless it is given another: the files of `KUBECONFIG`, of which some may be missing, but not all; else
 * `~/.kube/config`, if it exists.
 */
export function usualKubeconfigs(env: Record<string, string | undefined>): string[] {
  const named = (env.KUBECONFIG ?? '').split(path.delimiter).filter((file) => file !== '')
  if (named.length === 0) return [path.join(env.HOME ?? homedir(), '.kube', 'config')].filter((file) => existsSync(file))
  const existing = named.filter((file) => existsSync(file))
  return existing.length > 0 ? existing : named // reading them names the missing file
}

/**
 * The credentials of a kubeconfig's current context, in every form that @kubernetes/client-node supports: client certificates, exec
 * plugins, OpenID Connect, tokens in files.
 *
 * @param files one, or several that are merged: the first one with a current context determines it
 * @param context another context than the current one
 * @throws Error when a file cannot be read, or the context does not exist or has no cluster with HTTPS
 */
export async function kubeconfigCredentials(files: string | readonly string[], context?: string): Promise<Credentials> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const kubeconfig = new KubeConfig()
  for (const file of [files].flat()) {
    try {
      const next = new KubeConfig()
      next.loadFromFile(file)
      kubeconfig.mergeConfig(next, Boolean(kubeconfig.currentContext))
    } catch (error) {
      // Below its first line, a message of the parser shows a part of the file, whatever is in it.
      const [why] = String(error instanceof Error ? error.message : error).split('\n', 1)
      throw new Error(`the kubeconfig ${file} cannot be used: ${why}`, { cause: error })
    }
  }
  const where = [files].flat().join(', ')
  if (context !== undefined) {
    const known = kubeconfig.getContexts().map(({ name }) => name)
    if (!known.includes(context)) throw new Error(`${where}: there is no context ${context}, only ${known.join(', ') || 'none at all'}`)
    kubeconfig.setCurrentContext(context)
  }
  const server = kubeconfig.getCurrentCluster()?.server
  if (server === undefined) throw new Error(`${where}: the current context names no cluster`)
  if (!URL.canParse(server) || new URL(server).protocol !== 'https:')
    throw new Error(`${where}: the cluster is at ${server}, which is not HTTPS`)
  return {
    server: new URL(server),
    options: async () => {
      const options: RequestOptions = {}
      await kubeconfig.applyToHTTPSOptions(options)
      // Without its agent, which opens a connection for every request.
      const { ca, cert, key, headers, servername, rejectUnauthorized } = options
      return Object.fromEntries(
        Object.entries({ ca, cert, key, headers, servername, rejectUnauthorized }).filter(([, value]) => value !== undefined),
      )
    },
  }
}
