import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import * as z from 'zod'
import { type ImportItem, packItems } from '../../region-file/import/pieces.ts'
import { countsOf, type GivenFile, type ImportPlan, importPlan, judgeAll, shownPlan } from '../../region-file/import/plan.ts'
import { withinQuotas } from '../../region-file/import/quotas.ts'
import { type SameData, sameDataIn, withoutSameData } from '../../region-file/import/same-data.ts'
import {
  type DatabaseVerdict,
  deletionHere,
  deletionObstacles,
  type ImportedDeletion,
  type ImportScene,
  type Judged,
} from '../../region-file/import/verdict.ts'
import { regionFileBounds } from '../../region-file/schema.ts'
import type { RegionTarget, Step } from '../../resources/kind.ts'
import { type DecisionParts, type Proposed, refusal, seconds } from '../deciding/decision.ts'
import { importAction, importSceneOf, quotaSceneOf, readStandingRegion, regionFactsOf } from '../deciding/standing-region.ts'
import { maxPieceBytes } from '../request-secret.ts'
import { advanceImport, importedAtOnce } from '../work/import.ts'
import { type Action, type Asked, flag, regionRequest } from './action.ts'
import { fileBody, type ReadFile } from './file-body.ts'
import { importedSchema } from './import-schema.ts'

/** The most pieces of a file that an operation keeps: 16 MiB, which all go into etcd. */
const maxPieces = 32

const hosts = z
  .string()
  .max(4_000)
  .regex(/^[^=,\s]{1,253}=[^=,\s]{1,253}(,[^=,\s]{1,253}=[^=,\s]{1,253})*$/, 'must be pairs such as edge-1=edge-7,edge-2=edge-8')
  .transform((pairs) => Object.fromEntries(pairs.split(',').map((pair) => pair.split('=') as [string, string])))
  .optional()

type Query = { oldClusterIsGone: boolean; adoptRegion: boolean; olderFile: boolean; hosts?: Record<string, string> | undefined }

/** Makes the projects and databases of a region file again, with the volumes that they had. Each database is an operation of its own. */
export const importRegion: Action<RegionTarget> = {
  name: importAction,
  phase: undefined,
  requests: [
    regionRequest({
      method: 'POST',
      at: { path: '/region/import', tag: 'Region', params: z.strictObject({}), targetOf: () => ({ kind: 'region' }) },
      operationId: 'importRegion',
      summary: 'Makes the projects and databases of a region file again',
      description:
        'The body is a region file, which may be packed with gzip (`Content-Encoding: gzip`). `dryRun=true` shows a verdict for each database. ' +
        'Nothing that stands is changed. A database that cannot be imported does not stop the others; the same file can be imported again, and ' +
        'then only what is missing is made. Also needs the scopes `projects:write` and `databases:write`.',
      query: {
        oldClusterIsGone: flag(
          'That the cluster in which the file was made is gone: two that write to the same volumes destroy them',
          false,
        ),
        adoptRegion: flag('Whether to take the file of another region', false),
        olderFile: flag('Whether to take a file that is older than what is here', false),
        hosts: hosts
          .describe('The name of a host here for each name in the file, as `old=new`, separated by commas; of zones too')
          .meta({ override: { type: 'string' }, example: 'edge-1=edge-7' }),
      },
      body: z
        .looseObject({})
        .describe(
          'A region file, as `GET /v1/region/export` returns it; or an object with that as `file`, and as `secrets` what `open-export` has printed of it',
        )
        .meta({ example: {} }),
      file: fileBody<GivenFile>({ maxBytes: regionFileBounds.bytes, read, digestOf }),
      problems: ['busy'],
      asksForState: false,
      takesAlong: () => ['project', 'database'],
      prepare,
      show: { schema: importedSchema, of: show },
      decide,
    }),
  ],
  work: { advance: advanceImport },
}

async function read(bytes: Uint8Array, signal?: AbortSignal): Promise<ReadFile<GivenFile>> {
  // Loaded here: most processes never read a region file.
  const { readImport } = await import('../../region-file/import/reading.ts')
  return readImport(bytes, signal)
}

function digestOf({ digest, secrets }: GivenFile): string {
  return secrets
    ? `${digest} ${createHash('sha256')
        .update(canonicalize(secrets) ?? '')
        .digest('hex')}`
    : digest
}

type AskedImport = Asked<RegionTarget, Query, Record<string, unknown>>

async function prepare(parts: DecisionParts, asked: AskedImport): Promise<AskedImport> {
  const file = asked.body as unknown as GivenFile
  const standing = await readStandingRegion(parts.cluster)
  const hosts = new Map(Object.entries(asked.query.hosts ?? {}))
  const scene = importSceneOf(parts, standing.volumes)
  const deletions = file.document.retained.map((each) =>
    deletionHere({ ...each, secrets: file.secrets?.retained[each.id] }, hosts, scene.site),
  )
  const alone = await judgeAll(file, scene, hosts)
  const sameData = sameDataIn(alone, deletions)
  const judged = await withinQuotas(withoutSameData(alone, sameData), quotaSceneOf(parts, file.document))
  const items = itemsOf(file, judged, { deletions, scene, sameData })
  const pieces = await packItems(items, { maxBytes: maxPieceBytes, maxPieces })
  return { ...asked, standing: { ...standing, verdicts: judged.map(({ verdict }) => verdict), pieces } }
}

type Here = { deletions: readonly ImportedDeletion[]; scene: ImportScene; sameData: SameData }

/** In the order in which they are made: a deleted database comes after the one that has its name now. */
function* itemsOf({ document }: GivenFile, judged: readonly Judged[], { deletions, scene, sameData }: Here): Generator<ImportItem> {
  for (const spec of document.projects) yield { kind: 'project', spec }
  for (const { entry, verdict } of judged) {
    const obstacles = verdict.obstacles.filter(({ code }) => code === 'handle-taken' || code === 'attached')
    yield { kind: 'database', entry, obstacles }
  }
  for (const deletion of deletions) {
    const obstacles = [...deletionObstacles(deletion, scene), ...sameData(deletion.volumes)].filter(({ code }) => code === 'handle-taken')
    yield { kind: 'deletion', deletion, obstacles }
  }
}

function planOf(parts: DecisionParts, { body, query, standing }: AskedImport): ImportPlan {
  if (!standing) throw new TypeError('an import is decided after the cluster was looked at')
  const { verdicts, makesVolumes } = standing
  const plan = importPlan(body as unknown as GivenFile, regionFactsOf(parts, standing), verdicts, query)
  const needsVolumes = verdicts.some(({ verdict }) => verdict === 'ready') || plan.deletions > 0
  return makesVolumes || !needsVolumes ? plan : { ...plan, refusals: [...plan.refusals, importIsOff] }
}

const importIsOff = {
  code: 'import-off' as const,
  message:
    'The agent may not make volumes in this cluster. Give it that right for the import, and take it back afterwards: agent.import.enabled of the ' +
    'chart.',
}

function show(parts: DecisionParts, asked: AskedImport) {
  const plan = planOf(parts, asked)
  const file = asked.body as unknown as GivenFile
  return { plan: plan.refusals.length > 0 ? [] : [stepOf(plan, file)], import: shownPlan(file, plan) }
}

function decide(parts: DecisionParts, asked: AskedImport): Proposed {
  const { document, digest } = asked.body as unknown as GivenFile
  const plan = planOf(parts, asked)
  if (plan.refusals.length > 0)
    throw refusal(
      'wrong-state',
      plan.refusals.map(({ message }) => ({ path: '', message: message.replace(/\.$/, '') })),
    )
  const { region, createdAt, ledger } = document
  const { create } = parts.config.timeouts
  return {
    parameters: { file: { digest, region: region.id, createdAt, ledger: ledger.sequence }, ...totalsOf(plan) },
    pieces: asked.standing?.pieces ?? [],
    timeoutSeconds: seconds(create * (1 + Math.ceil((plan.databases.length + plan.deletions) / importedAtOnce))),
    plan: [stepOf(plan, asked.body as unknown as GivenFile)],
  }
}

function totalsOf({ projects, databases, deletions }: ImportPlan): { projects: number; databases: number; deleted?: number } {
  return { projects: projects.length, databases: databases.length, ...(deletions > 0 && { deleted: deletions }) }
}

function stepOf({ projects, databases, deletions }: ImportPlan, { document }: GivenFile): Step {
  const leftOut = document.leftOut?.length ?? 0
  const counts = countsOf(databases)
  const made = projects.filter(({ verdict }) => verdict === 'ready').length
  const differing = projects.filter(({ verdict }) => verdict === 'differs').length
  const anew = counts.ready + counts['volumes-found']
  const consequences = [
    ...(made > 0 ? [`Makes ${counted(made, 'project')}.`] : []),
    ...(differing > 0 ? [`Leaves ${counted(differing, 'project')} as it is here, although the file says otherwise.`] : []),
    ...(anew > 0 ? [`Makes ${counted(anew, 'database')} with ${counted(volumesOf(databases), 'volume')} that hold their data.`] : []),
    ...(anew > 0 ? ['Users have the passwords that are in the data, not those of new Secrets: rotate them afterwards.'] : []),
    ...(counts.unchanged > 0 ? [`Leaves ${counted(counts.unchanged, 'database')} alone that stand with their volumes.`] : []),
    ...(deletions > 0 ? [`Keeps ${counted(deletions, 'deleted database')} of the file, each until somebody purges it.`] : []),
    ...(leftOut > 0
      ? [`The file lacks ${counted(leftOut, 'part')} of its region, which could not be put into it: a dry run says what.`]
      : []),
    ...(counts.refused > 0 ? [`Cannot import ${counted(counts.refused, 'database')}: a dry run says why.`] : []),
  ]
  return { name: importAction, consequences, objects: [] }
}

function volumesOf(databases: readonly DatabaseVerdict[]): number {
  const made = databases.filter(({ verdict }) => verdict === 'ready' || verdict === 'volumes-found')
  return made.reduce((sum, { volumes }) => sum + volumes, 0)
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
