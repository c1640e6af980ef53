import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { findPing, type PingOptions, ping } from '../../../monitor/wire/ping.ts'
import { CheckFailure } from '../../../monitor/wire/reasons.ts'

/** A program in the place of ping, which writes its arguments to a file and then this. */
async function standIn(t: TestContext, script: string): Promise<{ program: string; args(): Promise<string[]> }> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-'))
  t.after(() => rm(folder, { recursive: true }))
  const program = join(folder, 'ping')
  await writeFile(program, `#!/bin/sh\nfor each in "$@"; do printf '%s\\n' "$each"; done >${folder}/args\n${script}\n`, { mode: 0o755 })
  return { program, args: async () => (await readFile(join(folder, 'args'), 'utf8')).split('\n').slice(0, -1) }
}

const usual = { address: '192.0.2.1', payloadBytes: 28, ttl: 64, dontFragment: false }
const options = (given: Partial<PingOptions> = {}): PingOptions => ({ ...usual, signal: AbortSignal.timeout(30_000), ...given })

const outputs = [
  { name: 'iputils', text: '36 bytes from 192.0.2.1: icmp_seq=1 ttl=57 time=12.3 ms', reply: { ms: 12.3, ttl: 57 } },
  { name: 'busybox', text: '36 bytes from 192.0.2.1: seq=0 ttl=57 time=0.040 ms', reply: { ms: 0.04, ttl: 57 } },
  { name: 'iputils without a reply', text: '1 packets transmitted, 0 received, 100% packet loss, time 0ms', reply: undefined },
  { name: 'a router on the way', text: 'From 192.0.2.9 icmp_seq=1 Time to live exceeded', reply: undefined },
  { name: 'somebody else', text: '36 bytes from 192.0.2.7: icmp_seq=1 ttl=57 time=12.3 ms (DIFFERENT ADDRESS!)', reply: undefined },
]
for (const { name, text, reply } of outputs)
  test(`the output of ping with an answer of ${name} is understood`, async (t) => {
    const { program } = await standIn(t, `echo '${text}'\nexit ${reply ? 0 : 1}`)
    assert.deepEqual(await ping(program, options()), reply)
  })

test('a reply without a time, as to a small packet, took as long as the program', async (t) => {
  const { program } = await standIn(t, "echo '9 bytes from 192.0.2.1: icmp_seq=1 ttl=57'")
  const reply = await ping(program, options({ payloadBytes: 1 }))
  assert.equal(reply?.ttl, 57)
  assert.ok((reply?.ms ?? 0) > 0)
})

test('every option becomes an argument of its own, and the address comes after two dashes', async (t) => {
  const { program, args } = await standIn(t, 'exit 1')
  await ping(program, options({ sourceAddress: '192.0.2.5', dontFragment: true, ttl: 3 }))
  assert.deepEqual(await args(), [
    ...['-4', '-n', '-c', '1', '-W', '120', '-s', '28', '-t', '3', '-M', 'do', '-I', '192.0.2.5', '--', '192.0.2.1'],
  ])
  await ping(program, options({ address: '2001:db8::1', ttl: undefined }))
  assert.deepEqual(await args(), ['-6', '-n', '-c', '1', '-W', '120', '-s', '28', '--', '2001:db8::1'])
})

test('nothing but an IP address is pinged, so that no text becomes an option or a name', async (t) => {
  const { program } = await standIn(t, 'exit 0')
  for (const address of ['-f', 'quay.example', '', '192.0.2.1 -f', '192.0.2.1\n-f']) {
    await assert.rejects(ping(program, options({ address })), /must be an IP address/)
    await assert.rejects(ping(program, options({ sourceAddress: address })), /must be an IP address/)
  }
})

test('a ping that may not do its work says so, and what to look at', async (t) => {
  const { program } = await standIn(t, "echo 'ping: socktype: SOCK_RAW' >&2\necho 'ping: socket: Operation not permitted' >&2\nexit 2")
  await assert.rejects(
    ping(program, options()),
    (error) => error instanceof CheckFailure && error.reason === 'misconfigured' && /net\.ipv4\.ping_group_range/.test(error.message),
  )
})

test('an abort ends ping at once', async (t) => {
  const { program } = await standIn(t, 'exec sleep 60')
  const started = performance.now()
  await assert.rejects(ping(program, options({ signal: AbortSignal.timeout(50) })), { name: 'TimeoutError' })
  assert.ok(performance.now() - started < 5_000)
})

test('ping is found only where it can be run', async (t) => {
  const { program } = await standIn(t, 'exit 0')
  const plain = `${program}.txt`
  await writeFile(plain, '')
  assert.equal(findPing(['/nonexistent/ping', plain, program]), program)
  assert.equal(findPing(['/nonexistent/ping', plain]), undefined)
})
