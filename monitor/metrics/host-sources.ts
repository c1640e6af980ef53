import { readdir, readFile } from 'node:fs/promises'
import { cpus, loadavg, uptime } from 'node:os'
import type { Systeminformation } from 'systeminformation'
import { type Family, family } from '../../shared/prometheus.ts'

/** Something that is read from the host. */
export type HostSource = {
  name: string
  /** How many intervals lie between two readings: the more expensive, the rarer. */
  every: number
  /** Undefined if this host has nothing of the kind, and need not be asked again. */
  read(): Promise<readonly Family[] | undefined>
}

type Sample = [labels: Record<string, string>, value: number]

/**
 * The sources, each read in its cheapest way; processor time per reading on a machine with 2 cores:
 *
 * | source | from | ms |
 * |---|---|---|
 * | cpu | node:os | 0.1 |
 * | memory | systeminformation, one file | 0.2 |
 * | network, disk | /proc/net/dev, /proc/diskstats; systeminformation starts a shell for each interface, and five programs for disks | 0.1 |
 * | filesystem | systeminformation, which starts df | 4 |
 * | temperature | systeminformation, which starts shells, only where there is a sensor | 7 |
 *
 * Of the library, only the modules that are used are loaded, when they are first used: 7 MiB instead of 10.
 */
export const hostSources: readonly HostSource[] = [
  { name: 'cpu', every: 1, read: async () => cpuFamilies() },
  { name: 'memory', every: 1, read: memoryFamilies },
  { name: 'network', every: 1, read: async () => networkFamilies(await readFile('/proc/net/dev', 'utf8')) },
  { name: 'disk', every: 1, read: async () => diskFamilies(await readFile('/proc/diskstats', 'utf8')) },
  { name: 'filesystem', every: 4, read: filesystemFamilies },
  { name: 'temperature', every: 4, read: temperatureFamilies },
]

function cpuFamilies(): Family[] {
  const processors = cpus()
  const modes = { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 }
  for (const { times } of processors) for (const mode in modes) modes[mode as keyof typeof modes] += times[mode as keyof typeof times]
  const [load1 = 0, load5 = 0, load15 = 0] = loadavg()
  return [
    family('gauge', 'skerry_host_cpus', 'Processors of the host.', processors.length),
    family(
      'counter',
      'skerry_host_cpu_seconds_total',
      'Time that all processors together spent in each mode.',
      Object.entries(modes).map(([mode, ms]) => [{ mode: mode === 'sys' ? 'system' : mode }, ms / 1000]),
    ),
    family('gauge', 'skerry_host_load1', 'Processes that ran or were ready to run, on average over one minute.', load1),
    family('gauge', 'skerry_host_load5', 'Processes that ran or were ready to run, on average over five minutes.', load5),
    family('gauge', 'skerry_host_load15', 'Processes that ran or were ready to run, on average over fifteen minutes.', load15),
    family('gauge', 'skerry_host_uptime_seconds', 'Time since the host started.', uptime()),
  ]
}

/** Modules of systeminformation have no types of their own. */
async function load<T>(module: Promise<unknown>): Promise<T> {
  const loaded = (await module) as { default?: T }
  return loaded.default ?? (loaded as T)
}

async function memoryFamilies(): Promise<Family[]> {
  const { mem } = await load<{ mem(): Promise<Systeminformation.MemData> }>(import('systeminformation/lib/memory.js' as string))
  const { total, available, free, buffcache, swaptotal, swapused } = await mem()
  return [
    family('gauge', 'skerry_host_memory_size_bytes', 'Memory of the host.', total),
    family('gauge', 'skerry_host_memory_available_bytes', 'Memory that programs can get without swapping.', available),
    family('gauge', 'skerry_host_memory_free_bytes', 'Unused memory.', free),
    family('gauge', 'skerry_host_memory_cache_bytes', 'Memory of buffers, caches and the slab.', buffcache),
    family('gauge', 'skerry_host_swap_size_bytes', 'Swap space of the host.', swaptotal),
    family('gauge', 'skerry_host_swap_used_bytes', 'Used swap space.', swapused),
  ]
}

/** Most file systems, interfaces and disks that are shown: a host with thousands of containers has thousands of them. */
const most = 200

async function filesystemFamilies(): Promise<Family[]> {
  const { fsSize } = await load<{ fsSize(): Promise<Systeminformation.FsSizeData[]> }>(
    import('systeminformation/lib/filesystem.js' as string),
  )
  // Layers of container images and volumes of pods are on the same disks.
  const systems = (await fsSize()).filter(({ type, mount }) => type !== 'overlay' && !mount.startsWith('/var/lib/kubelet/pods/'))
  const seen = new Map(systems.map((each) => [each.mount, each]))
  const by = (value: (system: Systeminformation.FsSizeData) => number): Sample[] =>
    [...seen.values()].slice(0, most).map((each) => [{ mount: each.mount, device: each.fs, type: each.type }, value(each)])
  return [
    family(
      'gauge',
      'skerry_host_filesystem_size_bytes',
      'Size of the file system.',
      by(({ size }) => size),
    ),
    family(
      'gauge',
      'skerry_host_filesystem_used_bytes',
      'Used space of the file system.',
      by(({ used }) => used),
    ),
    family(
      'gauge',
      'skerry_host_filesystem_available_bytes',
      'Free space for unprivileged users.',
      by(({ available }) => available),
    ),
  ]
}

/** The families in /proc/net/dev (proc(5)). Loopback and the interfaces of pods say nothing about the host. */
export function networkFamilies(text: string): Family[] {
  const rows = [...text.matchAll(/^\s*([^\s:]+):\s*(.*)$/gm)]
    .map(([, name = '', numbers = '']) => ({ name, numbers: numbers.split(/\s+/).map(Number) }))
    .filter(({ name }) => !/^(lo$|veth|cali|lxc|cilium_|azv|nodelocaldns|kube-ipvs)/.test(name))
    .slice(0, most)
  const by = (column: number): Sample[] => rows.map(({ name, numbers }) => [{ interface: name }, numbers[column] ?? Number.NaN])
  return [
    family('counter', 'skerry_host_network_receive_bytes_total', 'Bytes received by the interface.', by(0)),
    family('counter', 'skerry_host_network_receive_errors_total', 'Packets received with an error.', by(2)),
    family('counter', 'skerry_host_network_receive_drops_total', 'Packets received and dropped.', by(3)),
    family('counter', 'skerry_host_network_transmit_bytes_total', 'Bytes sent by the interface.', by(8)),
    family('counter', 'skerry_host_network_transmit_errors_total', 'Packets that could not be sent.', by(10)),
    family('counter', 'skerry_host_network_transmit_drops_total', 'Packets dropped instead of sent.', by(11)),
  ]
}

/** Partitions, and devices that are no disks. */
const noDisk = /^(?:(?:loop|ram|zram|sr|fd|nbd|zd)\d|(?:sd|vd|xvd|hd)[a-z]+\d+$|(?:nvme\d+n\d+|mmcblk\d+)p\d+$)/

/** The families in /proc/diskstats (the kernel's Documentation/admin-guide/iostats.rst), which counts sectors of 512 bytes on any disk. */
export function diskFamilies(text: string): Family[] {
  const rows = text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(({ length, 2: name = '' }) => length >= 14 && !noDisk.test(name))
    .slice(0, most)
  const by = (column: number, factor = 1): Sample[] => rows.map((row) => [{ disk: row[2] ?? '' }, Number(row[column]) * factor])
  return [
    family('counter', 'skerry_host_disk_reads_total', 'Completed reads.', by(3)),
    family('counter', 'skerry_host_disk_read_bytes_total', 'Bytes read from the disk.', by(5, 512)),
    family('counter', 'skerry_host_disk_writes_total', 'Completed writes.', by(7)),
    family('counter', 'skerry_host_disk_written_bytes_total', 'Bytes written to the disk.', by(9, 512)),
    family('counter', 'skerry_host_disk_busy_seconds_total', 'Time during which the disk was busy.', by(12, 0.001)),
  ]
}

async function temperatureFamilies(): Promise<Family[] | undefined> {
  const sensors = await Promise.all(['/sys/class/hwmon', '/sys/class/thermal'].map((folder) => readdir(folder).catch(() => [])))
  if (!sensors.flat().some((name) => /^(hwmon|thermal_zone)/.test(name))) return undefined
  const { cpuTemperature } = await load<{ cpuTemperature(): Promise<Systeminformation.CpuTemperatureData> }>(
    import('systeminformation/lib/cpu.js' as string),
  )
  const { main, cores } = await cpuTemperature()
  const samples = [...cores.map((value, core): Sample => [{ sensor: `core ${core}` }, value]), [{ sensor: 'cpu' }, main] as Sample]
  const real = samples.filter(([, value]) => typeof value === 'number' && Number.isFinite(value))
  return real.length === 0 ? undefined : [family('gauge', 'skerry_host_temperature_celsius', 'Temperature of the sensor.', real)]
}
