import { readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { parseArgs } from 'node:util'
import { parse } from 'yaml'
import * as z from 'zod'
import { systemClock } from '../../shared/clock.ts'
import { isProblem, Problem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import { createLog } from '../../shared/log.ts'
import { readIdentityKey } from '../cloud/kubernetes-store.ts'
import { withRegionFiles } from '../export/at-once.ts'
import { filePlace } from '../export/places/file.ts'
import type { MadeRegionFile } from '../export/places/place.ts'
import { type ReadRegionFile, readRegionFile } from '../region-file/reading.ts'
import { openSecrets, readEncryptionKey } from '../region-file/secrets.ts'
import { originSentence } from '../region-file/signature.ts'
import { objectName } from '../resources/identifiers.ts'
import { tunnelSection } from '../tunnel/settings.ts'
import { type Caller, connectAsCaller, type Env, type Output } from './caller.ts'
import { readGivenFile, readGivenText } from './given-file.ts'

/** The exit codes of both commands. */
export const exitCodes = { ok: 0, refused: 1, failed: 2 } as const

const exportHelp = `skerry-agent export: the file that the region can be made again from

  It is made here, from what is in the cluster, whether an agent works there or not. It goes to standard output.

  --out FILE           write it there instead, with mode 0600; - is standard output
  --recipient FILE     the public key (PEM or JWK) of whoever may open the secrets of databases: with it they are in the file, encrypted
  --region ID          the id of the region, where the configuration of the agent cannot be read
  --kubeconfig FILE    the cluster: this file, else KUBECONFIG, else ~/.kube/config, else that of the pod
  --context NAME       another context than the current one
  --namespace NAME     the namespace of Skerry (skerry)
  --timeout SECONDS    how long it may take (120)
  --help

The exit code is 0 once the file is written, 2 if it could not be made.
`

const exportOptions = {
  out: { type: 'string' },
  recipient: { type: 'string' },
  region: { type: 'string' },
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  namespace: { type: 'string', default: 'skerry' },
  timeout: { type: 'string', default: '120' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

/** The command. Never rejects: the code to exit with says how it went. */
export async function exportCommand(argv: readonly string[], env: Env, { out, err }: Output): Promise<number> {
  try {
    const { values } = parseArgs({ args: [...argv], options: exportOptions })
    if (values.help) {
      out(exportHelp)
      return exitCodes.ok
    }
    const seconds = Number(values.timeout)
    if (!(seconds > 0 && seconds <= 3_600)) throw new Error(`--timeout must be a number of seconds, not ${values.timeout}`)
    const signal = AbortSignal.timeout(seconds * 1000)
    const caller = await connectAsCaller(values, env)
    const configFile = env.SKERRY_AGENT_CONFIG ?? '/etc/skerry/agent.yaml'
    try {
      const { file, isConfigured } = await made(caller, { ...values, configFile }, signal)
      const said = await saidOf(file, { ...values, isConfigured })
      if (values.out === undefined || values.out === '-') out(file.bytes.toString('utf8'))
      else await filePlace(values.out).write(file, signal)
      err(said)
      return exitCodes.ok
    } finally {
      caller.cluster.close()
    }
  } catch (error) {
    err(`skerry-agent export: ${sentenceOf(error).replace(/^recovery\.export\.recipientFile:/, '--recipient')}\nSee --help.\n`)
    return exitCodes.failed
  }
}

type Values = { namespace: string; region?: string; recipient?: string; configFile: string }

async function made(
  { cluster, is }: Caller,
  { namespace, region, recipient, configFile }: Values,
  signal: AbortSignal,
): Promise<{ file: MadeRegionFile; isConfigured: boolean }> {
  const known = await configurationOf({ cluster, is }, { namespace, configFile })
  const id = region ?? known?.region.id
  if (id === undefined) throw new Error('the configuration of the agent cannot be read, so name the region: --region ID')
  if (!objectName.safeParse(id).success) throw new Error(`--region must be the id of a region, such as harbour-1, not ${id}`)
  // Without it, the file would lack what Skerry keeps there: the key, the ledger, deleted databases.
  const home = await readObject(cluster, pathOf(kinds.Namespace, undefined, namespace))
  if (home === undefined) throw new Error(`there is no namespace ${namespace} in this cluster: name that of Skerry with --namespace`)
  const config = { region: { id, ...(known?.region.id === id && known.region.name !== undefined && { name: known.region.name }) } }
  const log = createLog({ level: 'fatal', name: 'skerry-agent' })
  const given = { namespace, config, tunnel: known?.tunnel, recipientFile: recipient, key: () => keyOf(cluster, namespace) }
  const file = await withRegionFiles(given, { cluster, clock: systemClock, log }, signal, (files) => files.whole(signal))
  return { file, isConfigured: known !== undefined }
}

/** Without the right to read it, the file is not signed, and says so. */
async function keyOf(cluster: Cluster, namespace: string) {
  return readIdentityKey(cluster, namespace).catch((error: unknown) => {
    if (isProblem(error, 'cluster-forbidden')) return undefined
    throw error
  })
}

/** What the file needs of the agent's configuration. */
const configured = z.object({
  region: z.object({ id: z.string(), name: z.string().optional() }),
  tunnel: tunnelSection.optional().catch(undefined),
})

/** In a pod it is a file; for a person, the ConfigMap that the file comes from. Undefined if it cannot be read. */
async function configurationOf(
  { cluster, is }: Caller,
  { namespace, configFile }: Pick<Values, 'namespace' | 'configFile'>,
): Promise<z.output<typeof configured> | undefined> {
  try {
    const text =
      is === 'agent'
        ? await readFile(configFile, 'utf8')
        : (await readObject(cluster, pathOf(kinds.ConfigMap, namespace, 'skerry-agent')))?.data?.['agent.yaml']
    return configured.parse(parse(String(text)))
  } catch (error) {
    // Whatever it is, the file could not be made either.
    if (error instanceof Problem && error.type !== 'cluster-forbidden') throw error
    return undefined
  }
}

type Where = { namespace: string; isConfigured: boolean }

/** What is in a file, for people. @throws Error if there is nothing in it */
async function saidOf({ bytes }: MadeRegionFile, where: Where): Promise<string> {
  const read = await readRegionFile(bytes)
  if (!read.ok) throw new Error(`the file that was made has a fault, please report it: ${read.faults[0]?.path} ${read.faults[0]?.message}`)
  const { databases, projects, retained } = read.document
  const volumes = databases.reduce((sum, database) => sum + database.volumes.length, 0)
  const [ofProjects, ofDatabases] = [counted(projects.length, 'project'), counted(databases.length, 'database')]
  const counts = `${ofProjects}, ${ofDatabases} with ${counted(volumes, 'volume')}, ${counted(retained.length, 'deleted database')}`
  const left = read.document.leftOut?.map(({ what, why }) => `Not in the file: ${what}: ${why}\n`) ?? []
  return `${counts}.\n${nothingOfSkerry(read, where)}${left.join('')}${originSentence(read.origin)}\n`
}

/**
 * After the loss of the namespace of Skerry alone, what stands is still wanted: that is a file. Where nothing stands either, it is another cluster,
 * and its file could take the place of a good one.
 *
 * @returns a warning if the namespace is another one, or has lost everything
 */
function nothingOfSkerry({ document, origin }: Extract<ReadRegionFile, { ok: true }>, { namespace, isConfigured }: Where): string {
  const { ledger, retained, projects, databases } = document
  if (isConfigured || ledger.sequence > 0 || origin.by === 'key' || retained.length > 0) return ''
  const nothing = `nothing of Skerry is in the namespace ${namespace}: no configuration, ledger, key or deleted database`
  if (projects.length + databases.length === 0)
    throw new Error(`${nothing}; and no project or database in the cluster. Name another cluster with --kubeconfig or --context`)
  return `Warning: ${nothing}. If it is in another one, name that with --namespace, and export again.\n`
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

const openHelp = `skerry-agent open-export --key KEY FILE: the secrets in a file of a region, for whom they are encrypted

  KEY is the private key (PEM or JWK) of the recipient. FILE may be packed with gzip; - reads it from standard input. The secrets go to standard output, as one JSON object. No cluster is asked.

  --help

The exit code is 0 if they are open, 1 if the file has a fault, or none for this key, 2 if something could not be read.
`

const openOptions = { key: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false } } as const

/** The command. Never rejects: the code to exit with says how it went. */
export async function openExportCommand(
  argv: readonly string[],
  _env: Env,
  { out, err }: Output,
  input: Readable = process.stdin,
): Promise<number> {
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options: openOptions, allowPositionals: true })
    if (values.help) {
      out(openHelp)
      return exitCodes.ok
    }
    const [path, ...more] = positionals
    if (path === undefined || more.length > 0 || values.key === undefined) throw new Error('a key and one file are needed: --key KEY FILE')
    const key = privateKey(values.key, await readGivenText(values.key))
    const read = await readRegionFile(await readGivenFile(path, input))
    if (!read.ok) {
      for (const { path: at, message } of read.faults) err(`${at === '' ? 'The file' : `${at}:`} ${message}.\n`)
      if (read.more > 0) err(`And ${read.more} more.\n`)
      return exitCodes.refused
    }
    err(`${originSentence(read.origin)}\n`)
    const { secrets } = read.document
    if (secrets === undefined) {
      err('The file has no secrets: the region had no recipient for them (recovery.export.recipientFile).\n')
      return exitCodes.refused
    }
    const opened = await openSecrets(secrets, key).catch((error: Error) => error)
    if (opened instanceof Error) {
      err(`${opened.message}\n`)
      return exitCodes.refused
    }
    out(`${JSON.stringify(opened, null, 2)}\n`)
    return exitCodes.ok
  } catch (error) {
    err(`skerry-agent open-export: ${sentenceOf(error)}\nSee --help.\n`)
    return exitCodes.failed
  }
}

/** @throws Error with the path, and what is wrong */
function privateKey(path: string, text: string) {
  try {
    return readEncryptionKey(text, 'private')
  } catch (error) {
    throw new Error(`--key ${path}: ${sentenceOf(error)}`, { cause: error })
  }
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
