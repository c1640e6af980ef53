import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { createHostMetrics } from '../../../monitor/metrics/host.ts'
import { diskFamilies, type HostSource, hostSources, networkFamilies } from '../../../monitor/metrics/host-sources.ts'
import { family, renderPage } from '../../../shared/prometheus.ts'
import { createFakeClock, settle } from '../../shared/fake-clock.ts'
import { pageTypes, readPage } from './reading.ts'

function start(t: TestContext, sources: HostSource[], { enabled = true } = {}) {
  const clock = createFakeClock()
  const lines: Record<string, unknown>[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const host = createHostMetrics({ enabled, interval: 15_000 }, { clock, log, sources })
  host.start()
  t.after(() => host.stop())
  return { clock, host, lines, read: () => readPage(renderPage(host.families(), pageTypes.text)) }
}

/** A source that counts how often it was read, and does what it is told. */
function sourceOf(name: string, every = 1) {
  const source = {
    name,
    every,
    reads: 0,
    next: async (): Promise<unknown> => undefined,
    async read() {
      source.reads++
      await source.next()
      return [family('gauge', `skerry_host_${name}`, 'X.', source.reads)]
    },
  }
  return source
}

test('sources are read in the background, each as often as it should be', async (t) => {
  const [often, rare] = [sourceOf('often'), sourceOf('rare', 4)]
  const { clock, read } = start(t, [often, rare])
  await clock.advance(0)
  assert.equal(read().value('skerry_host_often'), 1)
  await clock.advance(4 * 15_000)
  assert.deepEqual([often.reads, rare.reads], [5, 2])
  for (let scrape = 0; scrape < 10; scrape++) assert.equal(read().value('skerry_host_rare'), 2)
  assert.deepEqual([often.reads, rare.reads], [5, 2], 'a scrape reads nothing')
})

test('a source that fails loses its own series only, says so once, and comes back', async (t) => {
  const [good, bad] = [sourceOf('good'), sourceOf('bad')]
  const { clock, read, lines } = start(t, [bad, good])
  await clock.advance(0)
  bad.next = () => Promise.reject(new Error('no such file'))
  await clock.advance(30_000)
  assert.equal(read().value('skerry_host_bad'), undefined)
  assert.equal(read().value('skerry_host_source_up', { source: 'bad' }), 0)
  assert.equal(read().value('skerry_host_good'), 3)
  assert.equal(lines.length, 1)
  bad.next = async () => undefined
  await clock.advance(15_000)
  assert.equal(read().value('skerry_host_bad'), 4)
  assert.equal(read().value('skerry_host_source_up', { source: 'bad' }), 1)
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ['host metrics cannot be read', 'host metrics are read again'],
  )
})

test('a source that hangs loses its own series only, and is not asked again before it has come back', async (t) => {
  const [good, slow] = [sourceOf('good'), sourceOf('slow')]
  const hang = Promise.withResolvers<void>()
  const { clock, read } = start(t, [slow, good])
  await clock.advance(0)
  slow.next = () => hang.promise
  await clock.advance(100_000)
  assert.equal(slow.reads, 2)
  assert.equal(read().value('skerry_host_slow'), undefined)
  assert.ok(good.reads >= 5, `${good.reads} reads`)
  slow.next = async () => undefined
  hang.resolve()
  await clock.advance(15_000)
  assert.equal(read().value('skerry_host_slow'), 3)
})

test('what this host does not have is asked for once, and is not called a failure', async (t) => {
  let asked = 0
  const none = { name: 'none', every: 1, read: async () => void asked++ as undefined }
  const { clock, read } = start(t, [none])
  await clock.advance(60_000)
  assert.equal(asked, 1)
  assert.deepEqual(read().all('skerry_host_source_up'), [])
})

test('switched off, it reads nothing and tells nothing', async (t) => {
  const source = sourceOf('any')
  const { clock, host } = start(t, [source], { enabled: false })
  await clock.advance(60_000)
  assert.equal(source.reads, 0)
  assert.deepEqual(host.families(), [])
})

test('it stops while a source hangs', async (t) => {
  const source = sourceOf('slow')
  source.next = () => new Promise(() => {})
  const { host } = start(t, [source])
  await settle()
  await host.stop()
})

test('every source of this host gives families that can be read, or none', async () => {
  for (const source of hostSources) {
    const found = await source.read()
    if (found === undefined) assert.equal(source.name, 'temperature', `${source.name} is there`)
    else readPage(renderPage(found, pageTypes.openmetrics), 'openmetrics')
  }
})

test('memory and processors are those of this host', async () => {
  const of = async (name: string) =>
    readPage(renderPage((await hostSources.find((each) => each.name === name)?.read()) ?? [], pageTypes.text))
  const memory = await of('memory')
  const [size = 0, available = 0] = ['size', 'available'].map((which) => memory.value(`skerry_host_memory_${which}_bytes`) ?? 0)
  assert.ok(size > available && available > 0, `${available} of ${size}`)
  const cpu = await of('cpu')
  assert.ok((cpu.value('skerry_host_cpus') ?? 0) >= 1)
  assert.ok((cpu.value('skerry_host_cpu_seconds_total', { mode: 'idle' }) ?? 0) > 0)
})

test('interfaces are those of the host, not the ends of pods, with their columns right', () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0: 1000 10 3 4 0 0 0 0 2000 20 5 6 0 0 0 0
vethab12: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0
`
  const found = readPage(renderPage(networkFamilies(text), pageTypes.text))
  assert.deepEqual(
    found.all('skerry_host_network_receive_bytes_total').map(({ labels, value }) => [labels.interface, value]),
    [['eth0', 1000]],
  )
  assert.equal(found.value('skerry_host_network_receive_errors_total'), 3)
  assert.equal(found.value('skerry_host_network_receive_drops_total'), 4)
  assert.equal(found.value('skerry_host_network_transmit_bytes_total'), 2000)
  assert.equal(found.value('skerry_host_network_transmit_errors_total'), 5)
  assert.equal(found.value('skerry_host_network_transmit_drops_total'), 6)
})

test('disks are whole ones, in bytes and seconds', () => {
  const text = `   7       0 loop0 11 0 2 0 0 0 0 0 0 0 0 0 0 0 0 0 0
 259       0 nvme0n1 100 0 2000 50 200 0 4000 60 0 1500 110 0 0 0 0 0 0
 259       1 nvme0n1p1 100 0 2000 50 200 0 4000 60 0 1500 110 0 0 0 0 0 0
   8       1 sda1 1 0 2 0 0 0 0 0 0 0 0 0 0 0 0
`
  const found = readPage(renderPage(diskFamilies(text), pageTypes.text))
  assert.deepEqual(
    found.all('skerry_host_disk_reads_total').map(({ labels, value }) => [labels.disk, value]),
    [['nvme0n1', 100]],
  )
  assert.equal(found.value('skerry_host_disk_read_bytes_total'), 2000 * 512)
  assert.equal(found.value('skerry_host_disk_writes_total'), 200)
  assert.equal(found.value('skerry_host_disk_written_bytes_total'), 4000 * 512)
  assert.equal(found.value('skerry_host_disk_busy_seconds_total'), 1.5)
})
