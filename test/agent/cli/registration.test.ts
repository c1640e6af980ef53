import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { exitCodes, registrationCommand } from '../../../agent/cli/registration.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { type ServedCloud, serveCloud } from '../../cloud/serve.ts'
import { startCluster, type TestCluster, until } from '../../cluster/index.ts'
import { programs } from '../../programs.ts'
import { prepareRegion, type Region } from '../../region/index.ts'

let cluster: TestCluster
let region: Region
let served: ServedCloud
let folder: string
let admin: string

before(async () => {
  cluster = await startCluster()
  served = await serveCloud()
  folder = await mkdtemp(join(tmpdir(), 'skerry-registration-'))
  await writeFile(join(folder, 'ca.pem'), served.ca)
  region = await prepareRegion(cluster, { config: { cloud: { url: served.origin, caFile: join(folder, 'ca.pem') } } })
  admin = await kubeconfig()
})

after(async () => {
  await region.close()
  await served.close()
  await cluster.stop()
  await rm(folder, { recursive: true })
})

async function kubeconfig(token?: string): Promise<string> {
  const file = join(folder, token === undefined ? 'admin' : 'account')
  await writeFile(file, cluster.kubeconfig(token), { mode: 0o600 })
  return file
}

/** The command in this process. */
async function run(words: string[], { as = admin } = {}): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' }
  const write = (stream: 'out' | 'err') => (text: string) => {
    said[stream] += text
  }
  const code = await registrationCommand(['--kubeconfig', as, ...words], {}, { out: write('out'), err: write('err') })
  return { code, ...said }
}

const codeShown = () => until('a code is shown', async () => /^Pairing code +(\S+),/m.exec((await run([])).out)?.[1])

test('before an agent has led, it says that there is nothing to see, and nothing to change', async () => {
  const seen = await run([])
  assert.equal(seen.code, exitCodes.not)
  assert.match(seen.out, /^There is no Registration in the namespace skerry\. .*cloud\.url/)
  const left = await run(['leave'])
  assert.equal(left.code, exitCodes.notAsked)
  assert.match(left.err, /^skerry-agent registration: there is no Registration: .*cloud\.url/)
})

test('it shows the code, waits until somebody has typed it, and then says how the region is registered', async () => {
  await region.startAgent()
  const code = await codeShown()
  const early = await run(['--wait', '--timeout', '1s'])
  assert.equal(early.code, exitCodes.not, 'nobody has typed the code')
  assert.match(early.err, /^Unpaired: Type the pairing code/m)
  const waiting = run(['--wait'])
  served.cloud.registry.typed(code)
  const ready = await waiting
  assert.equal(ready.code, exitCodes.registered, ready.out)
  assert.match(ready.out, /^State +Ready since \S+Z \(Registered\)$/m)
  assert.match(ready.out, new RegExp(`^Cloud +${served.origin}$`, 'm'))
  for (const fact of [
    /^Thumbprint +[\w-]{43}$/m,
    /^Region there +r-[0-9a-f]+$/m,
    /^Credential +until \S+Z, renewed at \S+Z$/m,
    /^Last heard +\S+Z$/m,
  ])
    assert.match(ready.out, fact)
  assert.doesNotMatch(ready.out, /Pairing code|To do/)
})

test('the program itself ends with the code, and prints JSON for programs', async () => {
  const { code, out } = await new Promise<{ code: number; out: string }>((resolve) =>
    execFile(process.execPath, [programs.agent, 'registration', '--json', '--kubeconfig', admin], (error, out) =>
      resolve({ code: Number(error?.code ?? 0), out }),
    ),
  )
  assert.equal(code, 0)
  const { spec, status } = JSON.parse(out)
  assert.deepEqual([spec.joined, status.state, status.cloud], [true, 'Ready', served.origin])
})

test('a dry run changes nothing, and who may not change it is refused', async () => {
  for (const word of ['leave', 'join', 'ask-again']) {
    const tried = await run([word, '--dry-run'])
    assert.equal(tried.code, exitCodes.registered, tried.err)
    assert.match(tried.err, /^This would be done: The region .* Nothing was changed\.$/m)
  }
  const account = await kubeconfig(await cluster.serviceAccountToken(region.namespace, 'skerry-agent'))
  assert.equal((await run([], { as: account })).code, exitCodes.registered, 'the agent itself may look')
  const refused = await run(['leave'], { as: account })
  assert.equal(refused.code, exitCodes.notAsked)
  assert.match(refused.err, /registrations/)
  const { spec, metadata } = await region.admin.request({ method: 'GET', path: pathOf(kinds.Registration, region.namespace, 'cloud') })
  assert.deepEqual([spec.joined, metadata.annotations], [true, undefined])
})

test('the region leaves, joins again with another code, and asks again, on the word of the site', async () => {
  const [first] = Object.values(served.cloud.registry.records.regions)
  const left = await run(['leave', '--wait'])
  assert.equal(left.code, 0, left.err)
  assert.match(left.out, /^State +Deregistered .*\(Left\)$/m)
  assert.match(left.out, /^Wanted +to leave the cloud$/m)
  assert.equal(first?.state, 'deregistered')
  assert.equal((await run([])).code, exitCodes.not)

  const joins = await run(['join'])
  assert.deepEqual([joins.code, joins.out, joins.err], [0, '', 'The region joins its cloud.\n'])
  const code = await codeShown()
  served.cloud.registry.typed(code)
  const again = await run(['ask-again', '--wait'])
  assert.equal(again.code, exitCodes.registered, again.out)
  assert.equal(Object.values(served.cloud.registry.records.regions).length, 2)
})

test('it says what it can do, and what it cannot read or use', async () => {
  const help = await run(['--help'])
  assert.equal(help.code, 0)
  assert.match(help.out, /ask-again +let the region ask again/)
  for (const [words, says] of [
    [['go'], /one of leave, join, ask-again, not go$/m],
    [['leave', 'now'], /one of leave, join, ask-again, not leave now$/m],
    [['--timeout', 'soon'], /--timeout must be a duration such as 90s or 5m, not soon$/m],
    [['--dry-run'], /--dry-run is for leave, join and ask-again/],
    [['--unknown'], /--unknown/],
  ] as const) {
    const { code, err } = await run([...words])
    assert.equal(code, exitCodes.notAsked, words.join(' '))
    assert.match(err, says)
  }
})
