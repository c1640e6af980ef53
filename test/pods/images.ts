import { readFileSync } from 'node:fs'
import { makeBases } from './bases.ts'
import type { Docker } from './docker.ts'

/** The programs, each with an image of its own. */
export const programs = ['agent', 'monitor'] as const
export type Program = (typeof programs)[number]

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }

/** The name under which the chart asks for a program's image. */
export function imageOf(program: Program, tag = version): string {
  return `ghcr.io/skerry-dev/skerry-${program}:${tag}`
}

/** What a Dockerfile says of an `ARG`. @throws Error when it has none of that name */
export function argumentOf(program: Program, name: string): string {
  const value = new RegExp(`^ARG ${name}=(.+)$`, 'm').exec(readFileSync(`Dockerfile.${program}`, 'utf8'))?.[1]
  if (value === undefined) throw new Error(`Dockerfile.${program} has no ARG ${name}`)
  return value
}

/** The bases, by the names that the Dockerfiles give. Those that are made here have other digests than the published ones. */
const bases = () => {
  const nameOf = (name: string) => argumentOf('agent', name).replace(/@sha256:[0-9a-f]{64}$/, '')
  return { build: nameOf('NODE'), run: nameOf('BASE') }
}

/** Builds the images of both programs from the checkout, by its own Dockerfiles. */
export async function buildImages(docker: Docker, say: (line: string) => void): Promise<void> {
  const { build: node, run: base } = bases()
  await makeBases(docker, { build: node, run: base }, say)
  for (const program of programs) {
    say(`building the image of the ${program}`)
    const build = ['--network', 'host', '--file', `Dockerfile.${program}`, '--build-arg', `NODE=${node}`, '--build-arg', `BASE=${base}`]
    // The stage that builds is named, so that it is not pruned: the next run takes from it what has not changed.
    await docker.build([...build, '--target', 'build', '--tag', `skerry.test/build-${program}`, '.'])
    await docker.build([...build, '--tag', imageOf(program), '.'])
  }
}
