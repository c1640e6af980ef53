import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, readdir, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { programPath } from './peer.ts'

const run = promisify(execFile)

/** A system manager of its own, as the first process of its own processes. */
export type Systemd = {
  /** What systemctl prints. @throws Error with what it printed when it fails */
  systemctl(...args: string[]): Promise<string>
  /** The properties of a unit, as `systemctl show` has them. */
  show(unit: string, ...properties: string[]): Promise<Record<string, string>>
  /** Resolves with the properties once they are as asked for; rejects after 60 s. */
  until(unit: string, is: (properties: Record<string, string>) => boolean, ...properties: string[]): Promise<Record<string, string>>
  /** Runs a command where its services run. */
  inside(...command: string[]): Promise<string>
}

/** What a machine that is up has: services have these as dependencies without naming them. */
const targets = ['sysinit', 'basic', 'shutdown', 'network-online', 'multi-user', 'ready']

const targetUnit = '[Unit]\nDefaultDependencies=no\nRefuseManualStart=no\n'

/**
 * Starts Debian's systemd in namespaces of its own, with these units and no others. It is root there, and changes nothing outside:
 * /run and /var/lib are empty folders in memory, and its control groups are taken away afterwards. Of this machine's files services see
 * all others, and those of `folder` below /run/given, which users without rights can read too.
 */
export async function startSystemd(t: TestContext, { units, folder }: { units: Record<string, string>; folder: string }): Promise<Systemd> {
  const program = programPath({ name: 'systemd', package: 'systemd', program: '/lib/systemd/systemd' })
  const own = await mkdtemp(path.join(tmpdir(), 'skerry-systemd-'))
  const unitFolder = path.join(own, 'units')
  await chmod(own, 0o755)
  for (const target of targets) await keep(path.join(unitFolder, `${target}.target`), targetUnit)
  for (const [name, text] of Object.entries(units)) await keep(path.join(unitFolder, name), text)
  await mkdir(path.join(own, 'none'))
  const groups = await controlGroups(path.basename(own))
  const script = path.join(own, 'init.sh')
  await keep(script, initScript({ program, unitFolder, folder, none: path.join(own, 'none'), mounts: groups.mounts }))

  const namespaces = ['--pid', '--fork', '--mount', '--mount-proc', '--uts', '--ipc', '--cgroup', '--kill-child']
  const enter = groups.folders.map((each) => `echo $$ > ${each}/cgroup.procs`).join(' && ')
  const child = spawn('sh', ['-c', `${enter} && exec unshare ${namespaces.join(' ')} sh ${script}`], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output = `${output}${chunk}`.slice(-8_000)))
  const exited = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGKILL') // its child, the first process of the namespace, goes with it, and all others with that one
    await exited
    await groups.remove()
    await rm(own, { recursive: true, force: true })
  })

  const init = await firstChild(
    child.pid as number,
    () => child.exitCode !== null,
    () => output,
  )
  const inside = async (...command: string[]) => {
    const args = ['--target', init, '--mount', '--pid', '--ipc', '--uts', '--cgroup', ...command]
    return (await run('nsenter', args, { timeout: 60_000 })).stdout
  }
  const systemctl = (...args: string[]) => inside('systemctl', '--no-pager', ...args)
  async function show(unit: string, ...properties: string[]): Promise<Record<string, string>> {
    const lines = (await systemctl('show', unit, ...properties.map((name) => `--property=${name}`))).trim().split('\n')
    return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
  }
  const within = async <T>(attempt: () => Promise<T | undefined>, what: () => string): Promise<T> => {
    for (const deadline = performance.now() + 60_000; performance.now() < deadline; await sleep(50)) {
      const found = await attempt()
      if (found !== undefined) return found
    }
    throw new Error(what())
  }
  await within(
    () => systemctl('is-active', 'ready.target').catch(() => undefined),
    () => `systemd does not get ready:\n${output}`,
  )
  return {
    systemctl,
    show,
    inside,
    async until(unit, is, ...properties) {
      let last: Record<string, string> = {}
      return within(
        async () => {
          last = await show(unit, ...properties)
          return is(last) ? last : undefined
        },
        () => `${unit} stays ${JSON.stringify(last)}\n${output}`,
      )
    },
  }
}

async function keep(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, text)
}

/** A group of its own in each hierarchy that systemd wants, and how a fresh namespace mounts them. */
async function controlGroups(name: string): Promise<{ folders: string[]; mounts: string; remove: () => Promise<void> }> {
  const root = '/sys/fs/cgroup'
  const isUnified = (await statfs(root)).type === 0x63677270 // CGROUP2_SUPER_MAGIC
  const hierarchies = isUnified ? [root] : [`${root}/systemd`, `${root}/unified`]
  const folders = hierarchies.map((each) => path.join(each, name))
  for (const each of folders) await mkdir(each)
  const mounts = isUnified
    ? 'mount -t cgroup2 cgroup2 /sys/fs/cgroup'
    : `mount -t tmpfs tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified`
  const remove = async () => {
    for (const each of folders) await removeGroup(each)
  }
  return { folders, mounts, remove }
}

/** A control group is taken away from its leaves on; its files are not files. One whose last process is just ending is still busy. */
async function removeGroup(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true })
  for (const entry of entries) if (entry.isDirectory()) await removeGroup(path.join(folder, entry.name))
  for (let tries = 0; ; tries++) {
    try {
      await run('rmdir', [folder])
      return
    } catch (error) {
      if (tries === 50) throw error
      await sleep(20)
    }
  }
}

function initScript(given: { program: string; unitFolder: string; folder: string; none: string; mounts: string }): string {
  return `set -e
mount --make-rprivate /
mkdir -p ${given.none}/given
mount --bind ${given.folder} ${given.none}/given
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/given
mount --move ${given.none}/given /run/given
mount -t tmpfs -o mode=755 tmpfs /var/lib
${given.mounts}
exec env -i container=skerry PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=${given.unitFolder} \\
  SYSTEMD_GENERATOR_PATH=${given.none} SYSTEMD_ENVIRONMENT_GENERATOR_PATH=${given.none} \\
  ${given.program} --system --unit=ready.target --log-target=console --log-level=info --show-status=0
`
}

/** The first process of the new namespace: unshare's only child. */
async function firstChild(pid: number, hasEnded: () => boolean, output: () => string): Promise<string> {
  for (;;) {
    const children = (await run('ps', ['--ppid', String(pid), '-o', 'pid=']).catch(() => ({ stdout: '' }))).stdout.trim()
    if (children !== '') return children.split(/\s+/)[0] as string
    if (hasEnded()) throw new Error(`systemd did not start:\n${output()}`)
    await sleep(20)
  }
}

/** Copies files to where services of any user can read them. */
export async function givenFolder(t: TestContext, files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'skerry-given-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)
  for (const [name, from] of Object.entries(files)) await cp(from, path.join(folder, name), { recursive: true })
  return folder
}
