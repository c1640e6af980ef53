/** Bodies of up to the maximum size, each made to be dear in another way. */

/** The largest body that the API reads, in bytes. */
export const mostBytes = 1024 * 1024

/** A body, by what is wrong with it. */
export type HostileBody = { name: string; body: string }

/** @param usual a valid database, in which one member is replaced */
export function hostileBodies(usual: Record<string, unknown>): HostileBody[] {
  const inPlaceOf = (field: string, value: string): string => {
    const { [field]: _, ...rest } = usual
    return `${JSON.stringify(rest).slice(0, -1)},${JSON.stringify(field)}:${value}}`
  }
  const made = { ...manyMembers(inPlaceOf), ...withinTheLimits(inPlaceOf), ...longTexts(inPlaceOf, usual), ...strangeJson() }
  return Object.entries(made).map(([name, body]) => ({ name, body: body() }))
}

type Shapes = Record<string, () => string>
type InPlaceOf = (field: string, value: string) => string

/** As many pieces as there is room for beside a valid database. */
function full(open: string, piece: (index: number) => string, close: string): string {
  const pieces: string[] = []
  let bytes = 1_000
  for (let index = 0; ; index++) {
    const next = piece(index)
    bytes += Buffer.byteLength(next) + 1
    if (bytes > mostBytes) return open + pieces.join(',') + close
    pieces.push(next)
  }
}

const object = (piece: (index: number) => string) => full('{', piece, '}')
const list = (piece: (index: number) => string) => full('[', piece, ']')
const times = (count: number, piece: (index: number) => string) => Array.from({ length: count }, (_, index) => piece(index)).join(',')

/** Half a million members, of every field that has members. */
function manyMembers(inPlaceOf: InPlaceOf): Shapes {
  const shapes: Shapes = {
    'unknown fields': () => object((index) => `"k${index}":1`),
    'fields that are nearly right': () => object((index) => `"allowedCIDR${index}":1`),
    'unknown fields beyond ASCII': () => object((index) => `"💥${index}":1`),
    'unknown fields with long names': () => object((index) => `"${'x'.repeat(90)}${index}":1`),
    'one field over and over': () => object(() => '"id":"x"'),
    __proto__: () => object(() => '"__proto__":1'),
    nulls: () => list(() => 'null'),
    objects: () => list(() => '{}'),
    'deep lists': () => list(() => '['.repeat(30) + ']'.repeat(30)),
    surrogates: () => list(() => '"\\ud800"'),
    'control characters': () => list(() => '"\\u0000"'),
  }
  const items = { numbers: '1', texts: '"x"', objects: '{"a":1,"b":1}', networks: '"10.0.0.0/8"', users: '{"name":"u"}' }
  for (const field of ['allowedCIDRs', 'users', 'imagePullSecrets', 'tables', 'partitions', 'sections'])
    for (const [kind, item] of Object.entries(items))
      shapes[`${field} of ${kind}`] = () =>
        inPlaceOf(
          field,
          list(() => item),
        )
  const values = { numbers: '1', texts: '"v"', objects: '{}', 'wrong texts': '"?"' }
  for (const field of ['labels', 'annotations', 'settings', 'nodes', 'backups', 'status'])
    for (const [kind, value] of Object.entries(values))
      shapes[`${field} of ${kind}`] = () =>
        inPlaceOf(
          field,
          object((index) => `"k${index}":${value}`),
        )
  return shapes
}

/** As much as a body may have in it: what is refused later than that, with faults in every member. */
function withinTheLimits(inPlaceOf: InPlaceOf): Shapes {
  const shapes: Shapes = {
    'a thousand long unknown fields': () => `{${times(1_000, (index) => `"${'k'.repeat(990)}${index}":1`)}}`,
    'a thousand unknown fields': () => `{${times(1_000, (index) => `"${'k'.repeat(90)}${index}":1`)}}`,
    'a thousand users with unknown fields': () =>
      inPlaceOf('users', `[${times(1_000, () => `{${times(14, (index) => `"${'k'.repeat(50)}${index}":1`)}}`)}]`),
    'a thousand users that are wrong': () =>
      inPlaceOf('users', `[${times(1_000, () => '{"name":"?","privileges":[1,2,3,4,5,6,7,8,9],"password":1,"generate":2}')}]`),
    'partitions with many columns': () =>
      `{"snapshot":"x","type":"partitions","partitions":[${times(5, () => `{"table":"?","columns":[${times(1_000, () => '{"name":1,"value":[]}')}]}`)}]}`,
    'a thousand long networks': () => inPlaceOf('allowedCIDRs', `[${times(1_000, () => `"${'1.'.repeat(490)}/32"`)}]`),
    'a thousand networks with host bits': () =>
      inPlaceOf('allowedCIDRs', `[${times(1_000, (index) => `"2001:db8:1234:5678:9abc:def0:1234:${index.toString(16)}/64"`)}]`),
    'deep objects': () => `{${times(500, (index) => `"k${index}":${'{"a":'.repeat(31)}1${'}'.repeat(31)}`)}}`,
    'the longest valid annotations': () => inPlaceOf('annotations', `{${times(32, (index) => `"k${index}":"${'v'.repeat(4096)}"`)}}`),
  }
  const members: Record<string, (index: number) => string> = {
    'long names': (index) => `"${'k'.repeat(990)}${index}":"v"`,
    'names of many parts': (index) => `"${'k.'.repeat(490)}/${index}":"v"`,
    'long values': (index) => `"stats.k${index}":"${'v'.repeat(980)}?"`,
  }
  for (const field of ['labels', 'annotations', 'settings'])
    for (const [kind, member] of Object.entries(members))
      shapes[`a thousand ${field} with ${kind}`] = () => inPlaceOf(field, `{${times(1_000, member)}}`)
  return shapes
}

const pieces = ['a', '1', '-', 'a.', 'a/', '1,', '💥', '\\"']

/** One text of a megabyte, in every field that has a pattern. */
function longTexts(inPlaceOf: InPlaceOf, usual: Record<string, unknown>): Shapes {
  const nodes = usual.nodes as { disk: object }
  const aws = { bucket: 'snapshots', region: 'eu-north-1', cron: '1 * * * *', accessKeyId: 'x', secretAccessKey: 'x' }
  const fields: Record<string, (text: string) => string> = {
    version: (text) => inPlaceOf('version', text),
    network: (text) => inPlaceOf('allowedCIDRs', `[${text}]`),
    id: (text) => inPlaceOf('id', text),
    displayName: (text) => `{"displayName":${text}}`,
    snapshot: (text) => `{"snapshot":${text}}`,
    hostname: (text) => inPlaceOf('exposure', `{"type":"traefik","hostname":${text}}`),
    memory: (text) => inPlaceOf('nodes', `${JSON.stringify(nodes).slice(0, -1)},"memory":${text}}`.replace('"memory":"4Gi",', '')),
    storageClass: (text) => inPlaceOf('nodes', `{"count":3,"cpu":2,"memory":"4Gi","disk":{"size":"64Gi","storageClass":${text}}}`),
    password: (text) => inPlaceOf('users', `[{"name":"u","password":${text}}]`),
    keystore: (text) => inPlaceOf('ssl', `{"keystore":${text}}`),
  }
  for (const field of ['cron', 'basePath', 'endpointUrl', 'bucket']) {
    const { [field]: _, ...rest } = aws as Record<string, string>
    fields[field] = (text) => inPlaceOf('backups', `{"aws":${JSON.stringify(rest).slice(0, -1)},${JSON.stringify(field)}:${text}}}`)
  }
  const shapes: Shapes = {
    'a name of a megabyte': () => `{"${'k'.repeat(mostBytes - 20)}":1}`,
    'a number of a million digits': () => `{"nodes":${'9'.repeat(mostBytes - 20)}}`,
    'a fraction of a million digits': () => `{"nodes":{"cpu":0.${'1'.repeat(mostBytes - 40)}}}`,
    'a cron list of a megabyte': () => fields.cron?.(`"${'99,'.repeat(340_000)}9 * * * *"`) ?? '',
  }
  for (const [field, body] of Object.entries(fields)) {
    for (const piece of pieces) {
      const room = mostBytes - 1_000
      shapes[`${field} of ${piece}`] = () => body(`"${piece.repeat(Math.floor(room / Buffer.byteLength(piece)))}"`)
    }
  }
  return shapes
}

function strangeJson(): Shapes {
  return {
    'lists without an end': () => '['.repeat(mostBytes),
    'objects without an end': () => '{"a":'.repeat(Math.floor(mostBytes / 5)),
    'empty lines': () => `{${'\n'.repeat(mostBytes - 2)}x`,
    spaces: () => `{"id":"x"${' '.repeat(mostBytes - 10)}}`,
    digits: () => '1'.repeat(mostBytes),
    quotes: () => '"'.repeat(mostBytes),
    backslashes: () => `"${'\\\\'.repeat(mostBytes / 2 - 1)}"`,
  }
}
