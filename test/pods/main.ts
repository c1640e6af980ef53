import { spawn } from 'node:child_process'
import { existsSync, globSync, rmdirSync } from 'node:fs'
import { createDaemons, installedTool } from '../cluster/index.ts'
import { cgroupParent, startDocker } from './docker.ts'
import { buildImages } from './images.ts'

/*
 * What `npm run test:pods` runs: builds the images, with the network of this machine for npm, and then the tests, each file in namespaces
 * of its own. There a node has its bridge, its firewall rules, its mounts and its processes, and they all go with the last of the tests.
 */

const begun = performance.now()
const say = (line: string) => process.stdout.write(`${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s  ${line}\n`)

const needed = ['unshare', 'setpriv', 'flock', 'ip', 'iptables', 'jq', 'debootstrap', 'dockerd', 'mosquitto', 'prometheus']
const folders = (process.env.PATH ?? '').split(':').concat('/usr/sbin', '/sbin')
const missing = needed.filter((name) => !folders.some((folder) => existsSync(`${folder}/${name}`)))
if (process.getuid?.() !== 0) throw new Error('test:pods needs root: it starts containers')
if (missing.length > 0) throw new Error(`missing: ${missing.join(', ')}; apt-get install what test/peers/packages.txt lists`)

/** The end of this process, however it comes, is that of all processes in there. */
const intoNamespaces = [
  '--pdeathsig',
  'KILL',
  'unshare',
  '--net',
  '--mount',
  '--propagation=private',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
]
/** What a kubelet and its like keep at fixed places is not this machine's: /run, /var/log and /var/lib are seen, and not written. */
const prepare = `
set -e
ip link set lo up
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir /run/upper /run/work
cp /etc/hosts /run/hosts
mount --bind /run/hosts /etc/hosts
mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/run/upper,workdir=/run/work /var/lib
exec "$@"
`

async function runTests(files: string[]): Promise<boolean> {
  const { folder, stop } = createDaemons() // whatever becomes of this process, the folder goes
  const tests = [process.execPath, '--test', '--test-isolation=none', '--test-force-exit', '--test-reporter=spec', ...files]
  const env = { ...process.env, TMPDIR: folder, SKERRY_PODS: 'namespaces', PATH: folders.join(':') }
  const child = spawn('setpriv', [...intoNamespaces, '/bin/sh', '-c', prepare, 'sh', ...tests], { env, stdio: 'inherit' })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  try {
    return (await ended) === 0
  } finally {
    await stop()
    removeCgroups()
  }
}

/** The groups are empty, but those that were killed have not removed theirs. */
function removeCgroups(): void {
  const groups = globSync([`/sys/fs/cgroup${cgroupParent}/**/`, `/sys/fs/cgroup/*${cgroupParent}/**/`])
    .sort()
    .reverse()
  for (const group of groups) {
    try {
      rmdirSync(group)
    } catch {} // a process in it has not quite gone; an empty group does no harm
  }
}

await installedTool('helm') // in there it could not be fetched
const docker = await startDocker()
try {
  await buildImages(docker, say)
} finally {
  await docker.stop()
}
let passed = true
const [, , ...only] = process.argv
for (const file of only.length > 0 ? only : globSync('test/pods/*.test.ts').sort()) {
  say(file)
  passed = (await runTests([file])) && passed
}
say(passed ? 'passed' : 'failed')
process.exit(passed ? 0 : 1)
