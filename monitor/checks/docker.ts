import * as z from 'zod'
import { ask, below, httpUrl, jsonOf, targetOfUrl, unexpected } from '../wire/http-access.ts'
import { tlsFields } from '../wire/tls.ts'
import { count, shorten, someOf, versionIn } from '../wire/wording.ts'
import { type CheckResult, checkKind, type Measurement } from './kind.ts'

const options = z.strictObject({
  socketPath: z.string().min(1).max(107).default('/var/run/docker.sock').describe('Unix socket of the daemon.'),
  url: httpUrl
    .optional()
    .describe('The daemon over TCP, such as https://HOST:2376 with a client certificate. It takes precedence over socketPath.'),
  expectRunning: z.array(z.string().min(1).max(200)).default([]).describe('Names of containers that must be running.'),
  stats: z.boolean().default(false).describe('Whether to measure CPU and memory of running containers, up to 50.'),
  ...tlsFields,
})

type DockerOptions = z.output<typeof options>
type Request = (path: string) => ReturnType<typeof ask>

const info = z.object({
  ServerVersion: z.string(),
  ContainersRunning: z.number(),
  ContainersPaused: z.number(),
  ContainersStopped: z.number(),
  Images: z.number(),
})
const containers = z
  .array(z.object({ Id: z.string(), Names: z.array(z.string()).default([]), State: z.string(), Status: z.string() }))
  .max(10_000)
const number = z.number().default(0)
const stats = z.object({
  cpu_stats: z.object({ cpu_usage: z.object({ total_usage: number }).default({ total_usage: 0 }) }),
  memory_stats: z.object({ usage: number, limit: number, stats: z.object({ inactive_file: number }).optional() }),
})

/** Up when the daemon answers, no container is unhealthy, and the expected containers are running. */
export const docker = checkKind({
  about:
    'Asks the daemon for `/_ping`, `/info` and the list of containers. Down when the daemon does not answer or a container of `expectRunning` is not running. Degraded when a container is unhealthy or restarting.',
  example: { socketPath: '/var/run/docker.sock', expectRunning: ['cloudflared'] },
  options,
  measures: {
    skerry_docker_info: { type: 'gauge', help: 'Always 1; the version of the daemon is its label.', labels: ['version'] },
    skerry_docker_containers: {
      type: 'gauge',
      help: 'Containers, by state: running, paused, stopped, unhealthy, restarting.',
      labels: ['state'],
    },
    skerry_docker_images: { type: 'gauge', help: 'Images.' },
    skerry_docker_container_cpu_seconds_total: { type: 'counter', help: 'CPU time used by a container.', labels: ['container'] },
    skerry_docker_container_memory_bytes: {
      type: 'gauge',
      help: 'Memory used by a container, without reclaimable page cache.',
      labels: ['container'],
    },
    skerry_docker_container_memory_limit_bytes: { type: 'gauge', help: 'Memory limit of a container.', labels: ['container'] },
  },
  target: ({ socketPath, url }) => (url === undefined ? socketPath : targetOfUrl(url)),
  async check(options, { signal }) {
    const { url = 'http://docker', socketPath } = options
    const request: Request = (path) =>
      ask(options, { url: below(url, path), ...(options.url === undefined && { socketPath }), maxBytes: 8 * 1024 * 1024, signal })
    const ping = await request('/_ping')
    if (ping.status !== 200) throw unexpected(ping, '/_ping')
    const get = async <S extends z.ZodType>(path: string, schema: S) => jsonOf(await request(path), schema, { what: path })
    const daemon = await get('/info', info)
    const list = await get('/containers/json?all=1', containers)
    const measurements: Measurement[] = [
      { name: 'skerry_docker_info', labels: { version: versionIn(daemon.ServerVersion) }, value: 1 },
      { name: 'skerry_docker_images', value: daemon.Images },
    ]
    if (options.stats) await measure(request, list.filter(({ State }) => State === 'running').slice(0, 50), measurements)
    return judge(options, daemon, list, measurements)
  },
})

type Container = z.output<typeof containers>[number]
const nameOf = ({ Names, Id }: Container) => shorten(Names[0]?.replace(/^\//, '') ?? Id.slice(0, 12), 100)

async function measure(request: Request, running: Container[], measurements: Measurement[]): Promise<void> {
  for (const container of running) {
    // With one-shot the daemon does not wait a second for another sample.
    const path = `/containers/${container.Id}/stats?stream=false&one-shot=true`
    const answer = await request(path)
    if (answer.status === 404) continue // removed since it was listed
    const { cpu_stats, memory_stats } = await jsonOf(answer, stats, { what: path })
    const labels = { container: nameOf(container) }
    measurements.push(
      { name: 'skerry_docker_container_cpu_seconds_total', labels, value: cpu_stats.cpu_usage.total_usage / 1e9 },
      {
        name: 'skerry_docker_container_memory_bytes',
        labels,
        value: Math.max(0, memory_stats.usage - (memory_stats.stats?.inactive_file ?? 0)),
      },
      { name: 'skerry_docker_container_memory_limit_bytes', labels, value: memory_stats.limit },
    )
  }
}

function judge(
  { expectRunning }: DockerOptions,
  daemon: z.output<typeof info>,
  list: Container[],
  measurements: Measurement[],
): CheckResult {
  // The list gives a container's health only as a part of its status: `Up 2 hours (unhealthy)`.
  const unhealthy = list.filter(({ Status }) => Status.includes('(unhealthy)'))
  const restarting = list.filter(({ State }) => State === 'restarting')
  const { ContainersRunning: running, ContainersPaused: paused, ContainersStopped: stopped } = daemon
  for (const [state, value] of Object.entries({ running, paused, stopped, unhealthy: unhealthy.length, restarting: restarting.length }))
    measurements.push({ name: 'skerry_docker_containers', labels: { state }, value })
  const lacking = expectRunning.filter((name) => !list.some((container) => container.State === 'running' && nameOf(container) === name))
  if (lacking.length > 0)
    return {
      state: 'down',
      reason: 'missing',
      detail: `These containers are not running: ${someOf(lacking)}. See docker ps -a, and docker logs of each.`,
      measurements,
    }
  const sick = [...unhealthy, ...restarting]
  if (sick.length > 0)
    return {
      state: 'degraded',
      reason: 'failing',
      detail: `Unhealthy or restarting: ${someOf(sick.map(nameOf))}. See docker inspect and docker logs of each.`,
      measurements,
    }
  return { state: 'up', detail: `Version ${shorten(daemon.ServerVersion, 60)}, ${count(running, 'container')} running.`, measurements }
}
