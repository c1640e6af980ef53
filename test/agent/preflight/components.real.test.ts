import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parseComponents } from '../../../agent/preflight/components.ts'

// The list is read twice: by the scripts with awk, and by the preflight. Both say the same of it.

const folder = await mkdtemp(join(tmpdir(), 'skerry-components-'))
after(() => rm(folder, { recursive: true, force: true }))

/** What a function of the scripts prints about a file. */
function shell(script: string, file: string): { out: string; err: string } {
  const { stdout, stderr } = spawnSync('sh', ['-c', `log_open=''; . deploy/bootstrap/common.sh; ${script}`, 'sh', file], {
    encoding: 'utf8',
  })
  return { out: stdout, err: stderr }
}

test('the scripts and the preflight read the same list from the file', () => {
  const file = 'deploy/bootstrap/components'
  const read = parseComponents(shell('cat "$1"', file).out).components
  const dash = (value: string | undefined) => (value === undefined || value === '' ? '-' : value)
  assert.deepEqual(
    shell('component_rows "$1"', file).out.trim().split('\n'),
    read.map(({ name, role, chart, repository, version, namespace, kubernetes, present, wait, definition, keep }) =>
      [
        ...[name, role, chart, dash(repository), version, namespace, kubernetes],
        ...[dash(present.join('|')), dash(wait.join(',')), dash(definition), dash(keep)],
      ].join(' '),
    ),
  )
})

const wrong = `  chart   early
tide and ebb
  chart   tide
  version
  colour  green
ebb
\trole  vital
  role    usual at most
  kubernetes 1.20.3
  kubernetes  1.x
  chart

  # nothing
neap
  chart neap
  version 1
  namespace sea
  wait
spring
  image  a
`

test('the scripts and the preflight find the same faults in a list', async () => {
  const file = join(folder, 'wrong')
  await writeFile(file, wrong)
  const { faults } = parseComponents(wrong)
  assert.equal(faults.length, 15, faults.join('\n'))
  const { err } = shell('check_components "$1"', file)
  assert.deepEqual(
    err
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line.startsWith('line ')),
    faults,
  )
})
