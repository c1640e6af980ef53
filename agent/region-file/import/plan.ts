import { setImmediate as nextTurn } from 'node:timers/promises'
import canonicalize from 'canonicalize'
import type { Secrets } from '../../resources/kind.ts'
import type { ProjectSpec } from '../../resources/project.ts'
import type { RegionContent } from '../schema.ts'
import { type Origin, originSentence } from '../signature.ts'
import { type DatabaseVerdict, type ImportScene, type Judged, judge, type VerdictName, verdicts } from './verdict.ts'

/** A region file that was read, and what somebody has opened of its secrets: of databases by `PROJECT/ID`, of deleted ones by their ids. */
export type GivenFile = {
  document: RegionContent
  digest: string
  origin: Origin
  secrets?: { databases: Readonly<Record<string, Secrets>>; retained: Readonly<Record<string, Secrets>> } | undefined
}

/** What the caller has said besides the file. */
export type ImportOptions = {
  oldClusterIsGone: boolean
  adoptRegion: boolean
  olderFile: boolean
}

/** What the region is that the file is for. */
export type RegionFacts = {
  id: string
  /** UID of the namespace kube-system. */
  cluster: string | undefined
  /** The newest entry of its ledger. */
  sequence: number
  /** The file of the newest import in that ledger. */
  lastImport: { digest: string; createdAt: string } | undefined
  project(id: string): ProjectSpec | undefined
}

/** Why nothing of a file is imported. */
export const refusalCodes = ['other-region', 'old-cluster', 'older-file', 'import-off'] as const
type ImportRefusal = { code: (typeof refusalCodes)[number]; message: string }

/** What an import makes of a project. One that stands with another spec stays as it is. */
type ProjectVerdict = { project: string; verdict: 'ready' | 'unchanged' | 'differs' }

export type ImportPlan = {
  refusals: ImportRefusal[]
  projects: ProjectVerdict[]
  databases: readonly DatabaseVerdict[]
  /** How many deleted databases the file has. */
  deletions: number
}

/** Databases that are judged before others get their turn. */
const perTurn = 50

/** Judges every database of the file. Others get their turn while there are many. */
export async function judgeAll(
  { document, secrets }: GivenFile,
  scene: ImportScene,
  hosts: ReadonlyMap<string, string>,
): Promise<Judged[]> {
  const judged: Judged[] = []
  for (const entry of document.databases) {
    const own = secrets?.databases[`${entry.project}/${entry.body.id}`]
    judged.push(judge(own ? { ...entry, secrets: own } : entry, scene, hosts))
    if (judged.length % perTurn === 0) await nextTurn()
  }
  return judged
}

/** What an import would do with databases that were judged. Pure. */
export function importPlan(
  { document, digest }: GivenFile,
  facts: RegionFacts,
  databases: readonly DatabaseVerdict[],
  options: ImportOptions,
): ImportPlan {
  return {
    refusals: [
      ...otherRegion(document, facts, options),
      ...oldCluster(document, facts, options),
      ...olderFile(document, digest, facts, options),
    ],
    projects: document.projects.map((spec) => ({ project: spec.id, verdict: projectVerdict(spec, facts.project(spec.id)) })),
    databases,
    deletions: document.retained.length,
  }
}

function projectVerdict(spec: ProjectSpec, standing: ProjectSpec | undefined): ProjectVerdict['verdict'] {
  if (!standing) return 'ready'
  return canonicalize(spec) === canonicalize(standing) ? 'unchanged' : 'differs'
}

function otherRegion({ region }: RegionContent, { id }: RegionFacts, { adoptRegion }: ImportOptions): ImportRefusal[] {
  if (region.id === id || adoptRegion) return []
  const message = `The file is of the region ${region.id}, and this is ${id}. If this region is to take over its databases, say adoptRegion=true.`
  return [{ code: 'other-region', message }]
}

/** Two clusters that write to the same volumes destroy them, and nothing here shows whether the other one still runs. */
function oldCluster({ kubernetes }: RegionContent, { cluster }: RegionFacts, { oldClusterIsGone }: ImportOptions): ImportRefusal[] {
  if (oldClusterIsGone || (cluster !== undefined && kubernetes.cluster === cluster)) return []
  const message =
    `The file is of another cluster (${kubernetes.cluster ?? 'unknown'}; this is ${cluster ?? 'unknown'}). If that one still runs, both write to the same ` +
    'volumes, and destroy them. Make sure that its nodes are off, or that its storage is detached from them, and that nobody can start it again; ' +
    'then say oldClusterIsGone=true.'
  return [{ code: 'old-cluster', message }]
}

function olderFile(
  { ledger, kubernetes, createdAt }: RegionContent,
  digest: string,
  { cluster, sequence, lastImport }: RegionFacts,
  options: ImportOptions,
): ImportRefusal[] {
  if (options.olderFile || lastImport?.digest === digest) return []
  const than =
    kubernetes.cluster === cluster && sequence > ledger.sequence
      ? `it is of entry ${ledger.sequence} of the ledger, which has ${sequence} by now`
      : lastImport && Date.parse(createdAt) < Date.parse(lastImport.createdAt)
        ? `it was made ${createdAt}, and the one that was imported here last ${lastImport.createdAt}`
        : undefined
  if (than === undefined) return []
  const message = `The file is older than what is here: ${than}. What was deleted since would be made again. If that is wanted, say olderFile=true.`
  return [{ code: 'older-file', message }]
}

/** How many verdicts of each list an answer has. */
const mostShown = 1_000

/** A plan as the API shows it: those that need somebody first, and of the others as many as fit. */
export function shownPlan({ document, digest, origin }: GivenFile, { refusals, projects, databases, deletions }: ImportPlan) {
  const order = ({ verdict, notes }: DatabaseVerdict) => (verdict === 'refused' ? 0 : notes.length > 0 ? 1 : 2)
  const shown = databases.toSorted((one, other) => order(one) - order(other)).slice(0, mostShown)
  return {
    file: {
      region: document.region.id,
      createdAt: document.createdAt,
      ledger: document.ledger.sequence,
      digest,
      origin: originSentence(origin),
      leftOut: document.leftOut ?? [],
    },
    refusals,
    counts: countsOf(databases),
    projects: projects.slice(0, mostShown),
    databases: shown,
    deletions,
    more: { projects: Math.max(0, projects.length - mostShown), databases: databases.length - shown.length },
  }
}

/** How many databases have each verdict. */
export function countsOf(all: readonly DatabaseVerdict[]): Record<VerdictName, number> {
  const counts = Object.fromEntries(verdicts.map((name) => [name, 0])) as Record<VerdictName, number>
  for (const { verdict } of all) counts[verdict]++
  return counts
}
