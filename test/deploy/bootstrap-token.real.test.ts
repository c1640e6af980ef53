import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readInstallToken } from '../../agent/cloud/install-token.ts'
import { issueToken } from '../../deploy/bootstrap/token.ts'
import { createServingCertificate, until } from '../cluster/index.ts'
import { type Bench, createBench } from './bootstrap.ts'

const linux = process.platform === 'linux' && process.arch === 'x64'
const options = { skip: linux ? false : 'kubectl and helm from the npm registry are for Linux on x86-64' }
const bench: Bench = await createBench()
after(() => bench.close())

const good = bench.cloud.token()
const now = Math.floor(Date.now() / 1000)
const parts = good.split('.')
const install = (args: string[], given = {}) => bench.run('install.sh', args, given)

/** No cluster is there: whoever comes as far as to ask for one has taken the token. */
const accepted = /the cluster does not answer/

const wrong: [name: string, token: string, message: RegExp][] = [
  ['cut in the middle', good.slice(0, 40), /the token is truncated: it ends after 40 characters/],
  ['cut within its signature', good.slice(0, -20), /the token is truncated/],
  ['without its last character', good.slice(0, -1), /the token is truncated/],
  [
    'with a character of its middle changed',
    `${good.slice(0, 30)}${good[30] === 'x' ? 'y' : 'x'}${good.slice(31)}`,
    /the token is damaged: a character was changed/,
  ],
  ['that expired', bench.cloud.token({ issued: now - 90_000, expires: now - 7200 }), /of region harbour-1 expired 2 hours ago/],
  [
    'of tomorrow',
    bench.cloud.token({ issued: now + 80_000, expires: now + 90_000 }),
    /not valid yet[\s\S]*clock of this machine is behind/,
  ],
  [
    'signed by somebody else',
    issueToken(
      { region: 'harbour-1', cloud: 'https://cloud.example', issued: now, expires: now + 60 },
      generateKeyPairSync('ed25519').privateKey,
    ),
    /was not signed by this cloud/,
  ],
  ['of another version', good.replace('skerry1', 'skerry2'), /has another version \(skerry2\)/],
  ['that is none', 'hunter2', /neither a token nor an option/],
  ['whose region is none', bench.cloud.token({ region: 'a"; rm' }), /its region is malformed/],
  ['whose name would end a string', bench.cloud.token({ name: 'a", id: "b' }), /its name is malformed/],
  ['whose cloud is none', bench.cloud.token({ cloud: 'http://cloud.example' }), /its cloud is malformed/],
  ['whose tunnel has no hostname', bench.cloud.token({ tunnel: '6ff42ae2-765d-4adf-8112-31c55c1551ef' }), /its hostname is malformed/],
  ['whose id is none', bench.cloud.token({ id: 'a b' }), /its id is malformed/],
  ['whose pin is none', bench.cloud.token({ pin: 'sha256/abc=' }), /its pin is malformed/],
]
for (const [name, token, message] of wrong) {
  test(`install.sh tells a token ${name}`, options, async () => {
    const { code, err, out } = await install([token])
    assert.equal(code, 2, out)
    assert.match(err, message)
    assert.ok(!err.includes(token) && !out.includes(token))
  })
}

const ways: [name: string, args: string[], given: object][] = [
  ['as an argument', [good], {}],
  ['from the environment', [], { env: { SKERRY_TOKEN: good } }],
  ['from standard input', ['-'], { input: `${good}\n` }],
  ['wrapped over lines as terminals paste it', [], { env: { SKERRY_TOKEN: good.replace(/.{50}/g, '$&\n  ') } }],
]
for (const [name, args, given] of ways) {
  test(`install.sh takes the token ${name}`, options, async () => {
    const { code, err, log } = await install(args, given)
    assert.equal(code, 2)
    assert.match(err, accepted)
    assert.ok(!log.includes(parts[1] as string), 'the token is not in the log')
  })
}

test('install.sh takes the token from a file, and tells when others can read that', options, async () => {
  const path = join(bench.folder, 'token')
  await writeFile(path, `${good}\n`, { mode: 0o644 })
  const { err, out } = await install(['--token-file', path])
  assert.match(err, accepted)
  assert.match(out, /Others can read .*token: chmod 600/)
})

test('the value of an option is never taken for the token, whatever it is called', options, async () => {
  await writeFile(join(bench.folder, 'skerry1.token.of.harbour'), good, { mode: 0o600 })
  const { err } = await install(['--token-file', 'skerry1.token.of.harbour', '--yes'])
  assert.match(err, accepted)
  assert.match((await install([good, '--log', 'skerry1.log', '--yes'])).err, accepted)
})

test('a log that is no file of its own keeps its mode', options, async () => {
  const bin = join(bench.folder, 'modes')
  execFileSync('mkdir', ['-p', bin])
  // Never the real chmod: it would be for the whole machine.
  await writeFile(join(bin, 'chmod'), `#!/bin/sh\nprintf '%s\\n' "$*" >>${bin}/asked\n`, { mode: 0o755 })
  for (const tool of ['kubectl', 'helm']) await writeFile(join(bin, tool), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
  const env = { PATH: `${bin}:/usr/bin:/bin` }
  for (const log of ['/dev/null', 'own.log']) assert.match((await install([good, '--log', log], { env })).err, accepted)
  assert.equal(execFileSync('cat', [join(bin, 'asked')], { encoding: 'utf8' }), '600 own.log\n')
})

test(
  'the token is not among the arguments of any process, in the environment of its children, or in a file for others',
  options,
  async () => {
    const seen = join(bench.folder, 'seen')
    const open = join(bench.folder, 'open')
    const spy = `#!/bin/sh\ntr '\\0' '\\n' </proc/$PPID/cmdline >>${seen}\ntr '\\0' '\\n' </proc/self/environ >>${seen}
find ${bench.folder}/skerry.* -perm /077 >>${open}\nexit 1\n`
    const bin = join(bench.folder, 'spies')
    execFileSync('mkdir', ['-p', bin])
    await writeFile(join(bin, 'kubectl'), spy, { mode: 0o755 })
    await writeFile(join(bin, 'helm'), spy, { mode: 0o755 })
    for (const [, args, given] of ways) {
      const env = { ...(given as { env?: object }).env, PATH: `${bin}:/usr/bin:/bin` }
      assert.match((await install(args, { ...given, env })).err, accepted)
    }
    assert.equal(execFileSync('cat', [open], { encoding: 'utf8' }), '', 'others may look into no file of a run')
    const said = execFileSync('cat', [seen], { encoding: 'utf8' })
    assert.match(said, /install\.sh/)
    assert.ok(!said.includes(parts[2] as string), said)
  },
)

test('install.sh says when it cannot check a signature, and why', options, async () => {
  // The last --cloud-key counts.
  const { err } = await install([good, '--cloud-key', join(bench.folder, 'absent.pem')])
  assert.match(err, /the key of the cloud, .*absent\.pem, cannot be read/)
})

test('a missing tool is named, with where to get it', options, async () => {
  const bin = join(bench.folder, 'few')
  execFileSync('sh', [
    '-c',
    `mkdir -p ${bin} && for tool in sh dirname sed tr cut cat mktemp rm date awk; do ln -sf "$(command -v $tool)" ${bin}/; done`,
  ])
  const missing = await install([good], { env: { PATH: bin } })
  assert.equal(missing.code, 2)
  assert.match(missing.err, /kubectl and helm are not installed[\s\S]*kubernetes\.io[\s\S]*helm\.sh/)
  await writeFile(join(bin, 'kubectl'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
  assert.match((await install([good], { env: { PATH: bin } })).err, /: helm is not installed[\s\S]*helm\.sh/)
  await writeFile(join(bin, 'helm'), '#!/bin/sh\necho v3.12.3+g1234567\n', { mode: 0o755 })
  assert.match((await install([good], { env: { PATH: bin } })).err, /helm v3\.12\.3\S* is too old/)
})

const onlyCapital = `case $1 in -D | --decode) exec /usr/bin/openssl base64 -d -A ;; -d) echo 'base64: invalid option -- d' >&2 && exit 64 ;; esac`
const decoders: [name: string, base64: string, openssl: string | undefined, message: RegExp][] = [
  ['whose base64 knows only -D', onlyCapital, undefined, accepted],
  ['whose base64 decodes nothing, with openssl', 'exit 64', undefined, accepted],
  [
    'whose base64 and openssl decode nothing',
    'exit 64',
    'exit 1',
    /no program here can decode Base64, the encoding of the token\n.*coreutils/,
  ],
]
for (const [name, base64, openssl, message] of decoders) {
  test(`a good token is never called damaged on a machine ${name}`, options, async () => {
    const bin = join(bench.folder, `decoding-${decoders.findIndex(([each]) => each === name)}`)
    execFileSync('mkdir', ['-p', bin])
    await writeFile(join(bin, 'base64'), `#!/bin/sh\n${base64}\n`, { mode: 0o755 })
    if (openssl !== undefined) await writeFile(join(bin, 'openssl'), `#!/bin/sh\n${openssl}\n`, { mode: 0o755 })
    const { code, err } = await install([good], { env: { PATH: `${bin}:${bench.folder}/bin:/usr/bin:/bin` } })
    assert.equal(code, 2)
    assert.match(err, message)
  })
}

test('a missing cksum is named, and the token not called damaged', options, async () => {
  const bin = join(bench.folder, 'without-cksum')
  const script = `mkdir -p ${bin} && for tool in sh dirname sed tr cut cat mktemp rm date head grep awk chmod base64; do ln -sf "$(command -v $tool)" ${bin}/; done
for tool in kubectl helm; do printf '#!/bin/sh\\nexit 0\\n' >${bin}/$tool && chmod +x ${bin}/$tool; done`
  execFileSync('sh', ['-c', script])
  const { code, err } = await install([good], { env: { PATH: bin } })
  assert.equal(code, 2)
  assert.match(err, /cksum is not installed[^\n]*\n.*coreutils/)
})

const keyFile = join(bench.folder, 'key.pem')
/** Runs the program that issues tokens, as a cloud's operator does. */
async function issue(...given: string[]): Promise<{ code: number; out: string; err: string }> {
  await writeFile(keyFile, bench.cloud.key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const { status, stdout, stderr } = spawnSync(process.execPath, ['deploy/bootstrap/token.ts', ...given], { encoding: 'utf8' })
  return { code: status ?? -1, out: stdout.trim(), err: stderr }
}
const claimsOf = (token: string) =>
  Buffer.from(token.split('.')[1] ?? '', 'base64url')
    .toString()
    .split('\n')
const named = ['region=harbour-1', 'cloud=https://cloud.example']

test('a token is issued for the time that is asked for', options, async () => {
  const { code, out, err } = await issue(keyFile, ...named, `issued=${now - 60}`, `expires=${now + 600}`)
  assert.equal(code, 0, err)
  assert.deepEqual(claimsOf(out).slice(0, -1), [...named, `issued=${now - 60}`, `expires=${now + 600}`])
  assert.match((await install([out])).err, accepted)
  const late = await issue(keyFile, ...named, `issued=${now - 7200}`, 'hours=1.5')
  assert.deepEqual(claimsOf(late.out).slice(2, 4), [`issued=${now - 7200}`, `expires=${now - 1800}`])
  assert.match((await install([late.out])).err, /expired 3\d minutes ago/)
  const usual = claimsOf((await issue(keyFile, ...named)).out)
  assert.equal(Number(usual[3]?.split('=')[1]) - Number(usual[2]?.split('=')[1]), 24 * 3600)
})

test('a token has an id of its own, which makes it good for one region, and the pin of a CA that is given', options, async () => {
  const idOf = (token: string) => claimsOf(token).find((line) => line.startsWith('id='))
  const [one, other] = [await issue(keyFile, ...named), await issue(keyFile, ...named)]
  assert.match(idOf(one.out) ?? '', /^id=[\w-]{22}$/)
  assert.notEqual(idOf(one.out), idOf(other.out))
  const { ca } = await createServingCertificate()
  const file = join(bench.folder, 'ca-of-the-cloud.pem')
  await writeFile(file, ca)
  const pin = createHash('sha256')
    .update(new X509Certificate(ca).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64url')
  const { code, out, err } = await issue(keyFile, ...named, 'id=t-1', `ca=${file}`)
  assert.equal(code, 0, err)
  assert.deepEqual(claimsOf(out).slice(-2), ['id=t-1', `pin=${pin}`])
  assert.match((await install([out])).err, accepted)
  // The agent reads the same in it.
  assert.deepEqual(readInstallToken(out), { sha256: createHash('sha256').update(out).digest('hex'), id: 't-1', pin })
})

test('what is wrong with a token to be issued is said at once, and none is issued', options, async () => {
  const bad = ['region=Harbour', 'hours=soon', 'expires=2026-12-01', 'hour=3', 'caller', `issued=${now}`, `issued=${now}`]
  const { code, out, err } = await issue('/nowhere.pem', ...bad)
  assert.equal(code, 2)
  assert.equal(out, '')
  assert.deepEqual(err.trim().split('\n'), [
    'token.ts: region is lower-case letters, digits and "-", 63 at most, not Harbour',
    'token.ts: hours is a number of hours, not soon',
    'token.ts: expires is Unix seconds, not 2026-12-01',
    'token.ts: there is no key hour; there are region, name, cloud, issued, expires, hours, tunnel, hostname, credentials, caller, id, pin, ca',
    'token.ts: caller is not KEY=VALUE',
    'token.ts: issued is given twice',
    'token.ts: cloud is missing',
    'token.ts: hours and expires cannot be combined',
    "token.ts: /nowhere.pem is not a readable private key: ENOENT: no such file or directory, open '/nowhere.pem'",
  ])
  assert.match(
    (await issue(keyFile, ...named, `issued=${now}`, `expires=${now - 1}`)).err,
    /would expire \(\d+\) before it is issued \(\d+\)/,
  )
  assert.match(
    (await issue(keyFile, ...named, 'tunnel=6ff42ae2-765d-4adf-8112-31c55c1551ef')).err,
    /tunnel needs hostname too\n.*tunnel needs credentials too/,
  )
})

test('a CA that cannot be read, and one beside a pin, are said', options, async () => {
  const { code, err } = await issue(keyFile, ...named, 'ca=/nowhere.pem', `pin=${'A'.repeat(43)}`)
  assert.equal(code, 2)
  assert.match(err, /ca and pin cannot be combined\n.*\/nowhere\.pem is not a readable certificate: ENOENT/)
})

test('--show-token says what is in a token, asks nobody and writes nothing', options, async () => {
  const bin = join(bench.folder, 'showing')
  const tools = 'sh dirname sed tr cut cat date head grep awk base64 cksum sha256sum'
  const script = `mkdir -p ${bin} && for tool in ${tools}; do ln -sf "$(command -v $tool)" ${bin}/; done
for tool in kubectl helm curl openssl; do printf '#!/bin/sh\\n: >${bench.folder}/asked-anyway\\n' >${bin}/$tool && chmod +x ${bin}/$tool; done`
  execFileSync('sh', ['-c', script])
  const show = (token: string) => install([token, '--show-token'], { env: { PATH: bin } })
  // Half an hour to spare, since `now` is when this file began.
  const [issued, expires] = [now - 60, now + 7 * 3600 + 1800]
  const shown = (seconds: number) => `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`
  const pin = 'A'.repeat(43)
  const token = bench.cloud.token({ issued, expires, id: 't-1', pin, caller: 'ab'.repeat(32) })
  // Without what each run of this test gets and loses.
  const files = async () => (await readdir(bench.folder)).filter((name) => !['kubeconfig', 'install.log'].includes(name)).sort()
  const before = await files()
  const { code, out, err, log } = await show(token)
  assert.equal(code, 0, err)
  assert.deepEqual(out.split('\n'), [
    'region     harbour-1 (Harbour)',
    'cloud      https://cloud.example',
    `issued     ${shown(issued)}`,
    `expires    ${shown(expires)} (expires in 7 hours)`,
    'id         t-1, good for one region',
    `pin        ${pin}`,
    'tunnel     none',
    `caller     ${'ab'.repeat(32)}`,
    `SHA-256    ${createHash('sha256').update(token).digest('hex').slice(0, 12)}…`,
    'signature  not checked here',
    '',
  ])
  assert.equal(log, '')
  assert.deepEqual(await files(), before)
  const old = await show(bench.cloud.token({ issued: now - 90_000, expires: now - 7200 }))
  assert.match(old.out, /^expires .*\(expired 2 hours ago\)$/m)
  assert.match(old.out, /^id +none: it is good for more than one region$/m)
  const cut = await show(good.slice(0, -20))
  assert.equal(cut.code, 2)
  assert.match(cut.err, /the token is truncated/)
})

test('with nobody there to be asked, it says so instead of taking silence for an answer', options, async () => {
  const bin = join(bench.folder, 'answering')
  execFileSync('mkdir', ['-p', bin])
  for (const tool of ['kubectl', 'helm']) await writeFile(join(bin, tool), '#!/bin/sh\nexit 0\n', { mode: 0o755 })
  const { code, err } = await install([good], { env: { PATH: `${bin}:/usr/bin:/bin` } })
  assert.equal(code, 2)
  assert.match(err, /there is no terminal to ask at\n.*--yes/)
})

test('a run is refused while another one is at the same cluster', options, async () => {
  const bin = join(bench.folder, 'slow')
  execFileSync('mkdir', ['-p', bin])
  // Whoever asks for secrets waits until the other one has been refused.
  const [reached, done] = [join(bench.folder, 'reached'), join(bench.folder, 'done')]
  const kubectl = `#!/bin/sh\ncase "$*" in *secrets*) : >${reached}; until [ -e ${done} ]; do sleep 0.05; done; exit 1;; esac\n`
  await writeFile(join(bin, 'kubectl'), kubectl, { mode: 0o755 })
  await writeFile(join(bin, 'helm'), '#!/bin/sh\nexit 0\n', { mode: 0o755 })
  const env = { PATH: `${bin}:/usr/bin:/bin` }
  const args = [good, '--yes', '--skip', 'preflight']
  const first = install(args, { env })
  await until('the first one is under way', async () => existsSync(reached))
  const second = await install(args, { env })
  await writeFile(done, '')
  assert.equal((await first).code, 1)
  assert.equal(second.code, 2)
  assert.match(second.err, /another run is under way for this cluster \(process \d+\)/)
  assert.match((await install(args, { env })).out, /\[1\/\d+\]/)
})

const misused: [args: string[], message: RegExp][] = [
  [['--fast'], /unrecognized option --fast/],
  [['--only'], /--only needs a value/],
  [['--only', 'postgres'], /unknown component postgres/],
  [['--timeout', 'soon'], /--timeout takes seconds, not soon/],
  [['--offline', '/nowhere'], /there is no directory \/nowhere[\s\S]*--download/],
  [['--values', '/nowhere.yaml'], /\/nowhere\.yaml cannot be read/],
  [[good, '--log', '/nowhere/install.log'], /cannot write the log \/nowhere\/install\.log\n.*--log FILE/],
  [[], /there is no token/],
  [[''], /the token is empty/],
]
for (const [args, message] of misused) {
  test(
    `install.sh called with ${args.filter((word) => word !== good).join(' ') || (args.length === 0 ? 'nothing' : 'an empty word')} ends with 2 and says what is wrong`,
    options,
    async () => {
      const { code, err } = await install(args)
      assert.equal(code, 2)
      assert.match(err, message)
    },
  )
}

test('install.sh explains itself, and lists what it brings with the versions', options, async () => {
  assert.match((await install(['--help'])).out, /--offline DIR/)
  assert.match((await install(['--list'])).out, /^cert-manager +usual +cert-manager +v\d+\.\d+\.\d+ +cert-manager +1\.\d+ /m)
})
