import * as z from 'zod'
import { type ApiServer, needApiServer } from '../wire/api-server.ts'
import { crateDisks } from '../wire/crate-sql.ts'
import { httpFields, httpUrl, jsonOf } from '../wire/http-access.ts'
import { passwordSecretFields, withPassword } from '../wire/password-secret.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { percent, someOf } from '../wire/wording.ts'
import { type CheckContext, type CheckResult, checkKind, type Measurement } from './kind.ts'

const name = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'must be a name in Kubernetes')

const options = z
  .strictObject({
    namespace: name.describe("The database's namespace."),
    database: name.describe('Name of the database (the CrateDB object).'),
    warnAt: z.number().gt(0).max(1).default(0.8).describe('Degraded when this share of a volume is in use.'),
    downAt: z.number().gt(0).max(1).default(0.95).describe('Down when this share of a volume is in use.'),
    url: httpUrl
      .optional()
      .describe('The HTTP address of the database. It is asked when no kubelet knows the volumes, as with hostpath volumes.'),
    ...httpFields,
    ...passwordSecretFields,
  })
  .refine(({ warnAt, downAt }) => warnAt <= downAt, { error: 'must not be above downAt', path: ['warnAt'] })

type VolumeOptions = z.output<typeof options>
/** The bytes of one volume; `source` is where they were read. */
type Volume = { name: string; used: number; size: number; inodes?: { used: number; total: number }; source: 'kubelet' | 'database' }

const named = z.object({ metadata: z.object({ name: z.string() }) })
const claims = z.object({ items: z.array(named).max(20_000) })
const pods = z.object({ items: z.array(z.object({ spec: z.object({ nodeName: z.string().optional() }) })).max(20_000) })
const bytes = z.number().min(0).optional()
const summary = z.object({
  pods: z
    .array(
      z.object({
        volume: z
          .array(
            z.object({
              usedBytes: bytes,
              capacityBytes: bytes,
              inodes: bytes,
              inodesUsed: bytes,
              pvcRef: z.object({ name: z.string(), namespace: z.string() }).optional(),
            }),
          )
          .default([]),
      }),
    )
    .default([]),
})

/** Up while the volumes of a database have free space. */
export const volume = checkKind({
  about:
    "Reads how full a database's volumes are from the kubelets' stats summary, which requires the rights to list pods and persistentvolumeclaims and to get nodes/proxy. If a kubelet does not know a volume, as with hostpath volumes, the check asks the database at `url` instead. Degraded from the share `warnAt` on, down from `downAt` on.",
  example: {
    namespace: 'project-harbour',
    database: 'cranes',
    url: 'http://crate-discovery-cranes.project-harbour.svc.cluster.local:4200',
  },
  options,
  measures: {
    skerry_volume_used_bytes: { type: 'gauge', help: 'Bytes used on a volume.', labels: ['volume', 'source'] },
    skerry_volume_size_bytes: { type: 'gauge', help: 'Size of a volume.', labels: ['volume', 'source'] },
    skerry_volume_used_inodes: {
      type: 'gauge',
      help: 'Inodes used on a volume, if the kubelet reports them.',
      labels: ['volume', 'source'],
    },
    skerry_volume_inodes: { type: 'gauge', help: 'Inodes of a volume, if the kubelet reports them.', labels: ['volume', 'source'] },
  },
  target: ({ namespace, database }) => `${namespace}/${database}`,
  async check(options, context) {
    const [fromKubelets, silent] = await kubeletVolumes(options, needApiServer(context.apiServer), context)
    const volumes = silent.length === 0 ? fromKubelets : await databaseVolumes(options, silent, context)
    return judge(options, volumes)
  },
})

/** The volumes that the kubelets report, and the claims that they do not know. */
async function kubeletVolumes(
  { namespace, database }: VolumeOptions,
  server: ApiServer,
  { signal }: CheckContext,
): Promise<[Volume[], string[]]> {
  const selector = `labelSelector=${encodeURIComponent(`app.kubernetes.io/component=cratedb,app.kubernetes.io/name=${database}`)}`
  const list = async <S extends z.ZodType>(what: string, schema: S, allowed: string) => {
    const answer = await server.get(`/api/v1/namespaces/${namespace}/${what}?${selector}`, {
      signal,
      maxBytes: 8 * 1024 * 1024,
      kept: true,
    })
    if (answer.status === 401 || answer.status === 403)
      throw new CheckFailure('unauthorized', `Grant the monitor "${allowed}" in ${namespace}.`)
    return jsonOf(answer, schema, { what: `the list of ${what}` })
  }
  const wanted = (await list('persistentvolumeclaims', claims, 'list persistentvolumeclaims')).items.map(({ metadata }) => metadata.name)
  if (wanted.length === 0)
    throw new CheckFailure('missing', `There are no volumes of a database ${database} in ${namespace}. Check that the database exists.`)
  const hosts = new Set((await list('pods', pods, 'list pods')).items.flatMap(({ spec }) => spec.nodeName ?? []))
  const found = new Map<string, Volume>()
  for (const host of hosts) {
    const answer = await server.get(`/api/v1/nodes/${encodeURIComponent(host)}/proxy/stats/summary`, {
      signal,
      maxBytes: 16 * 1024 * 1024,
      kept: true,
    })
    if (answer.status !== 200) continue // the kubelet is down, or the right is missing: its volumes stay unknown
    for (const pod of (await jsonOf(answer, summary, { what: 'the stats summary' })).pods)
      for (const { pvcRef, usedBytes, capacityBytes, inodes, inodesUsed } of pod.volume) {
        if (pvcRef?.namespace !== namespace || !wanted.includes(pvcRef.name) || usedBytes === undefined || !capacityBytes) continue
        const counted = inodes !== undefined && inodesUsed !== undefined && { inodes: { used: inodesUsed, total: inodes } }
        found.set(pvcRef.name, { name: pvcRef.name, used: usedBytes, size: capacityBytes, source: 'kubelet', ...counted })
      }
  }
  return [[...found.values()], wanted.filter((claim) => !found.has(claim))]
}

async function databaseVolumes({ url, ...options }: VolumeOptions, silent: string[], context: CheckContext): Promise<Volume[]> {
  if (url === undefined)
    throw new CheckFailure(
      'unavailable',
      `No kubelet reports these volumes: ${someOf(silent)}. Grant "get nodes/proxy", check that the database runs, or set url to ask the database itself.`,
    )
  const disks = await crateDisks(await withPassword({ url, ...options }, context), context.signal)
  if (disks.length === 0)
    throw new CheckFailure(
      'unavailable',
      'Neither the kubelets nor the database know how full the volumes are. Check that the nodes of the database have started.',
    )
  return disks.map(({ node, used, size }) => ({ name: node, used, size, source: 'database' }))
}

function judge({ warnAt, downAt }: VolumeOptions, volumes: Volume[]): CheckResult {
  const measurements: Measurement[] = volumes.flatMap(({ name, used, size, inodes, source }) => {
    const labels = { volume: name, source }
    return [
      { name: 'skerry_volume_used_bytes', labels, value: used },
      { name: 'skerry_volume_size_bytes', labels, value: size },
      ...(inodes
        ? [
            { name: 'skerry_volume_used_inodes', labels, value: inodes.used },
            { name: 'skerry_volume_inodes', labels, value: inodes.total },
          ]
        : []),
    ]
  })
  const share = ({ used, size, inodes }: Volume) => Math.max(used / size, inodes && inodes.total > 0 ? inodes.used / inodes.total : 0)
  const sorted = volumes.toSorted((a, b) => share(b) - share(a))
  const said = someOf(sorted.map((each) => `${each.name} ${percent(share(each))}`))
  const fullest = share(sorted[0] as Volume)
  if (fullest >= downAt)
    return { state: 'down', reason: 'limit', detail: `Volumes are full: ${said}. Enlarge them, or delete data.`, measurements }
  if (fullest >= warnAt)
    return { state: 'degraded', reason: 'limit', detail: `Volumes are filling up: ${said}. Enlarge them, or delete data.`, measurements }
  return { state: 'up', detail: `Used: ${said}.`, measurements }
}
