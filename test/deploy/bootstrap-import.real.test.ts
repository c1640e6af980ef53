import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type Front, standBefore } from '../words/kubelets.ts'
import { openScene, succeeded } from './bootstrap-scene.ts'

// One story: a region is installed, and its file is imported in the same run. What the agent's command does with it has tests of its own
// (test/agent/cli/import.long.test.ts); here another program stands for it, which says what it was given.

const scene = await openScene()
const { bench, charts, list, token, http } = scene
const region = join(bench.folder, 'region.json')
const given = join(bench.folder, 'given')
let exitCode = 0
let commands: string[][] = []
/** Whether the agent might make volumes while the command ran. */
let mightMake: Promise<boolean>[] = []

const front: Front = await standBefore(scene.cluster, (namespace, pod) =>
  namespace === 'skerry' && pod.startsWith('skerry-agent-')
    ? {
        log: () => [],
        exec(command) {
          commands.push(command)
          mightMake.push(mayMake())
          const script = `cat >${given}; sleep 1; echo "2 of 2 databases are there" >&2; echo "Succeeded: all of it"; exit ${exitCode}`
          return { program: '/bin/sh', args: ['-c', script], env: { PATH: '/usr/bin:/bin' } }
        },
      }
    : undefined,
)
after(async () => {
  front.close()
  await scene.close()
})

const mayMake = async () => (await http.get('/apis/rbac.authorization.k8s.io/v1/clusterroles/skerry-agent-import')).status === 200

const usual = ['--yes', '--offline', charts, '--timeout', '60', '--skip', 'preflight', '--components', list, '--only', 'skerry']
async function install(...args: string[]) {
  commands = []
  mightMake = []
  return bench.run('install.sh', [token, ...args, ...usual], { kubeconfig: front.kubeconfig })
}

test('what cannot be imported is refused before anything is installed', async () => {
  await writeFile(region, '{"document":{}}\n')
  const [empty, cut, other] = ['empty', 'cut', 'other'].map((name) => join(bench.folder, `${name}.json`)) as [string, string, string]
  await writeFile(empty, '')
  await writeFile(cut, '{"document":{"backups":[]')
  await writeFile(other, 'kind: List\n')
  for (const [args, says] of [
    [['--import', join(bench.folder, 'nowhere')], /nowhere cannot be read/],
    [['--import', empty], /empty\.json is empty/],
    [['--import', cut], /cut\.json ends in the middle: it was cut/],
    [['--import', other], /other\.json is no region file/],
    [['--import', region, '--no-wait'], /--import and --no-wait cannot be combined/],
    [['--old-cluster-is-gone'], /: --old-cluster-is-gone is for --import/],
    [['--import', region, '--host', 'edge-1'], /--host takes OLD=NEW, not edge-1/],
    [['--import', region, '--host', 'edge-1=a b'], /--host takes OLD=NEW/],
  ] as const) {
    const ran = await install(...args)
    assert.equal(ran.code, 2, ran.out)
    assert.match(ran.err, says)
  }
  assert.equal((await http.get('/api/v1/namespaces/skerry')).status, 404)
})

test('a dry run says that it would import', async () => {
  const ran = await install('--import', region, '--dry-run')
  succeeded(ran)
  assert.match(ran.out, /\[2\/3\] import: the region file .*region\.json\n {7}would import .*region\.json, in a pod of the agent\n/)
  assert.deepEqual(commands, [])
})

test('the region is installed and imported, and the agent may make volumes only meanwhile', async () => {
  const ran = await install('--import', region, '--old-cluster-is-gone', '--host', 'edge-1=quay-1', '--host', 'edge-2=quay-2')
  succeeded(ran)
  const hosts = ['--host', 'edge-1=quay-1', '--host', 'edge-2=quay-2']
  assert.deepEqual(commands, [['node', '/skerry/agent.mjs', 'import', '-', '--old-cluster-is-gone', ...hosts]])
  assert.equal(await readFile(given, 'utf8'), '{"document":{}}\n')
  assert.match(ran.out, /^ {7}2 of 2 databases are there\n {7}Succeeded: all of it\n {7}imported \(\d+ s\)$/m)
  assert.match(ran.out, /\[3\/3\] skerry: take back the right to make volumes/)
  assert.deepEqual(await Promise.all(mightMake), [true])
  assert.equal(await mayMake(), false)
})

test('what the import could not make is a failure, and the right is taken back all the same', async () => {
  exitCode = 1
  const ran = await install('--import', region, '--old-cluster-is-gone')
  assert.equal(ran.code, 1, ran.out)
  assert.match(ran.out, /FAILED after \d+ s: the region is not whole\n {7}What to do: see above what is missing/)
  assert.equal(await mayMake(), false)
})
