import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { cures as table } from '../../../../agent/region/obstacles/cures.ts'
import { type Cure, type CureKind, renderCures } from '../../../../agent/resources/cure.ts'
import type { Obstacle } from '../../../../agent/resources/operation.ts'
import { isProblem } from '../../../../shared/errors.ts'
import type { Cluster } from '../../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, keyOf, kinds, pathOf } from '../../../../shared/kubernetes/objects.ts'
import { type CommandResult, installedTool, type TestCluster } from '../../../cluster/index.ts'

/** `NodeNotReady.remove` and what stands in the table of cures under it. */
export const entries: [name: string, kind: CureKind][] = Object.entries(table).flatMap(([code, kinds]) =>
  Object.entries(kinds).map(([name, kind]) => [`${code}.${name}`, kind as unknown as CureKind] as [string, CureKind]),
)

/** What a command has to print, or a look at what it brought about, which gets what it printed. */
export type Expectation = RegExp | ((output: string) => Promise<void>)

/** Runs the cures of obstacles and sees what is left. */
export type Trial = {
  /**
   * Runs every command of an obstacle's cures, in order and just as it stands, each of which has to be expected under its name in the
   * table; then nothing may be lost but what the cure says.
   */
  cure(obstacle: Omit<Obstacle, 'message' | 'evidence'>, expected: Record<string, Expectation>): Promise<void>
  stop(): Promise<void>
}

/** Names of cures whose command was run, in whichever trial. */
export const ran = new Set<string>()

export type TrialOptions = {
  testCluster: TestCluster
  admin: Cluster
  /** Where the commands reach the API. */
  api?: { url: string; token: string; ca: string }
  /** More of what the effects of cures ask for. */
  env?: Record<string, string>
}

export async function startTrial({ testCluster, admin, api, env: given = {} }: TrialOptions): Promise<Trial> {
  const home = await mkdtemp(join(tmpdir(), 'skerry-cures-'))
  const keep = async (name: string, text: string) => {
    await writeFile(join(home, name), text, { mode: 0o600 })
    return join(home, name)
  }
  const env: Record<string, string> = {
    PATH: `${dirname(await installedTool('kubectl'))}:${process.env.PATH}`,
    HOME: home,
    KUBECONFIG: await keep('kubeconfig', testCluster.kubeconfig()),
    KUBECACHEDIR: join(home, 'cache'),
    KUBECTL_KUBERC: 'false',
    // What the effects of some cures ask for.
    ...{ server: 'registry.example', user: 'pilot', password: 'low tide', value: "it's wet", node: 'quay-2' },
    file: await keep('credentials.json', '{}'),
    ...given,
    ...(api && { url: api.url, token: api.token, CURL_CA_BUNDLE: await keep('ca.pem', api.ca) }),
  }

  const shell = (command: string) =>
    new Promise<CommandResult>((resolve) => {
      execFile('bash', ['-c', command], { env, timeout: 60_000 }, (error, stdout, stderr) => {
        resolve({ stdout, stderr, code: error ? (typeof error.code === 'number' ? error.code : -1) : 0 })
      })
    })

  async function run(command: string, name: string, kind: CureKind, expectation: Expectation): Promise<void> {
    const before = await precious(admin)
    const { code, stdout, stderr } = await shell(command)
    assert.equal(code, 0, `${name}: ${command}\n${stdout}${stderr}`)
    if (command.startsWith('curl ')) assert.doesNotMatch(stdout, /"status":[45]\d\d/, `${name} was refused`)
    if (expectation instanceof RegExp) assert.match(stdout, expectation, `${name}: ${command}`)
    else await expectation(stdout)
    // A request to change a database is there to change it.
    const isRequest = command.startsWith('curl -X PATCH ')
    assertKept(before, await precious(admin), { by: name, isRequest }, (object) => {
      if (kind.does === 'destroys') return object.kind === 'PersistentVolume'
      return !command.startsWith('curl -X DELETE ') || servesData(object)
    })
    ran.add(name)
  }

  return {
    async cure({ code, cures, cure }, expected) {
      assert.equal(cure, renderCures(cures), 'the text is made of the cures')
      assert.equal(cures[0]?.destructive, false, `what destroys is never proposed first: ${cure}`)
      const left = new Set(Object.keys(expected))
      for (const one of cures) {
        const [name, kind] = entryOf(code, one)
        assert.equal(one.destructive, kind.does === 'destroys')
        if (one.command === undefined) continue
        const expectation = expected[name]
        assert.ok(expectation, `${name} is proposed and not expected: ${one.command}`)
        left.delete(name)
        await run(one.command, name, kind, expectation)
      }
      assert.deepEqual([...left], [], 'what was expected and not proposed')
    },
    stop: () => rm(home, { recursive: true, force: true }),
  }
}

/** Where a cure of an obstacle stands in the table: the text with its places filled. */
function entryOf(code: string, cure: Cure): [name: string, kind: CureKind] {
  const fits = (filled: string | undefined, text: string | undefined) =>
    filled === undefined || text === undefined ? filled === text : patternOf(text).test(filled)
  const found = entries.filter(([, kind]) => fits(cure.effect, kind.effect) && fits(cure.command, kind.command))
  const own = found.length > 1 ? found.filter(([name]) => name.startsWith(`${code}.`)) : found
  const [first, ...others] = own
  assert.ok(first, `this stands nowhere in the table of cures: ${JSON.stringify(cure)}`)
  assert.equal(others.length, 0, `${own.map(([name]) => name)} cannot be told apart`)
  return first
}

function patternOf(text: string): RegExp {
  const parts = text.split(/<\w+> ?/).map((part) => part.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 's')
}

/** What nobody wants to lose, by its place. */
type Precious = Map<string, KubernetesObject>

async function precious(admin: Cluster): Promise<Precious> {
  const all = await Promise.all(
    [kinds.PersistentVolume, kinds.PersistentVolumeClaim, kinds.CrateDB].map(async (kind) => {
      const list = await admin.request<{ items: KubernetesObject[] }>({ method: 'GET', path: pathOf(kind) }).catch((error: unknown) => {
        if (isProblem(error, 'not-found', 'not-served')) return { items: [] }
        throw error
      })
      return list.items.map((item) => [`${kind.kind} ${keyOf(item.metadata)}`, { ...item, kind: kind.kind }] as const)
    }),
  )
  return new Map(all.flat())
}

/** A volume of a database's data: the API takes those for heap dumps along. */
function servesData({ kind, spec }: KubernetesObject): boolean {
  return kind === 'PersistentVolume' && spec?.claimRef?.name.startsWith('data')
}

/** What stood and was not on its way out still does, the same, and no volume is less kept than before. */
function assertKept(
  before: Precious,
  after: Precious,
  { by, isRequest }: { by: string; isRequest: boolean },
  mustStay: (object: KubernetesObject) => boolean,
): void {
  for (const [place, object] of before) {
    if (!mustStay(object) || object.metadata.deletionTimestamp !== undefined) continue
    const now = after.get(place)
    assert.equal(now?.metadata.uid, object.metadata.uid, `${by} took ${place} away`)
    assert.equal(now?.metadata.deletionTimestamp, undefined, `${by} deleted ${place}`)
    if (object.kind === 'CrateDB' && !isRequest) assert.deepEqual(now?.spec, object.spec, `${by} changed ${place}`)
    if (object.spec?.persistentVolumeReclaimPolicy === 'Retain')
      assert.equal(now?.spec?.persistentVolumeReclaimPolicy, 'Retain', `${by} lets ${place} go`)
  }
}
