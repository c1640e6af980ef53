import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from '../cluster/index.ts'
import type { Docker } from './docker.ts'

const run = promisify(execFile)

/** Raised with every change of what is made here. */
const revision = 1
const npm = 'npm@11.21.2'
/** What gcr.io/distroless/cc-debian12 is made of. */
const runtimePackages = ['base-files', 'ca-certificates', 'libc6', 'libgcc-s1', 'libgomp1', 'libssl3', 'libstdc++6', 'netbase', 'tzdata']

/** The image of a pod's network namespace: it sleeps. */
export const pauseImage = 'skerry.test/pause:1'

/**
 * No registry can be reached, so what the Dockerfiles build upon is made here from Debian's packages and Node's of the npm registry,
 * under the names that the Dockerfiles give: `build` has what node:…-bookworm-slim has of use, `run` what distroless has.
 */
export async function makeBases(
  docker: Docker,
  { build, run: base }: { build: string; run: string },
  say: (line: string) => void,
): Promise<void> {
  const label = `${revision} ${npm} ${process.version} ${await authoritiesKey()}`
  const made = await Promise.all([build, base, pauseImage].map((image) => labelOf(docker, image)))
  if (made.every((each) => each === label)) return
  const root = await debianRoot(say)
  const folder = await mkdtemp(join(cacheFolder(), 'bases-'))
  try {
    say('making the images that those of the programs are built upon')
    await makeBuildBase(docker, { folder, root, image: build, label })
    await makeRunBase(docker, { folder, root, image: base, label })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function labelOf({ docker }: Docker, image: string): Promise<string | undefined> {
  const format = '{{ index .Config.Labels "skerry.test/made" }}'
  return docker('image', 'inspect', '--format', format, image).then(
    (label) => label.trim(),
    () => undefined,
  )
}

/** A Debian of the least packages, as an archive in the cache. */
async function debianRoot(say: (line: string) => void): Promise<string> {
  const archive = join(cacheFolder(), `debian-bookworm-${revision}.tar`)
  if (existsSync(archive)) return archive
  say('making a Debian root with debootstrap (once, about a minute)')
  const folder = await mkdtemp(join(cacheFolder(), 'debian-'))
  try {
    const root = join(folder, 'root')
    const include = `--include=${runtimePackages.join(',')}`
    await run('debootstrap', ['--variant=minbase', include, 'bookworm', root, await debianMirror()], { maxBuffer: 64 << 20 })
    await rm(join(root, 'var/cache/apt/archives'), { recursive: true })
    // Renamed as the last step, so that it is complete or absent.
    await run('tar', ['--create', '--numeric-owner', '--exclude=./dev/*', '--directory', root, '--file', join(folder, 'root.tar'), '.'])
    await rename(join(folder, 'root.tar'), archive)
    return archive
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Where this machine has its own Debian from. */
async function debianMirror(): Promise<string> {
  const { stdout } = await run('apt-get', ['indextargets', '--format', '$(RELEASE) $(REPO_URI)', 'Created-By: Packages'])
  const mirror = /^bookworm (\S+)/m.exec(stdout)?.[1]
  if (mirror === undefined) throw new Error('apt has no list of bookworm to make a Debian root from: run apt-get update')
  return mirror
}

type Making = { folder: string; root: string; image: string; label: string }

/** Debian, Node and npm, and whom this machine trusts: a proxy between it and the npm registry has an authority of the site. */
async function makeBuildBase(docker: Docker, { folder, root, image, label }: Making): Promise<void> {
  const context = join(folder, 'build')
  await mkdir(join(context, 'npm'), { recursive: true })
  await Promise.all([copyFile(root, join(context, 'root.tar')), copyFile(process.execPath, join(context, 'node')), fetchNpm(context)])
  await copyFile(authorities, join(context, 'ca.crt'))
  const lines = [
    'FROM scratch',
    'ADD root.tar /',
    'COPY node /usr/local/bin/node',
    'COPY npm/package /usr/local/lib/node_modules/npm',
    'COPY ca.crt /etc/ssl/certs/ca-certificates.crt',
    'RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm',
    'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt',
    `LABEL skerry.test/made="${label}"`,
  ]
  await buildFrom(docker, context, image, lines)
}

const authorities = '/etc/ssl/certs/ca-certificates.crt'
async function authoritiesKey(): Promise<string> {
  const { createHash } = await import('node:crypto')
  return createHash('sha256')
    .update(await readFile(authorities))
    .digest('hex')
    .slice(0, 12)
}

async function fetchNpm(context: string): Promise<void> {
  await run('npm', ['pack', '--silent', npm, '--pack-destination', join(context, 'npm')])
  const [pack = ''] = await readdir(join(context, 'npm'))
  await run('tar', ['--extract', '--gzip', '--file', join(context, 'npm', pack), '--directory', join(context, 'npm')])
}

/** The files of some packages and nothing else: no shell. And a `sleep` beside it, for the pause image. */
async function makeRunBase(docker: Docker, { folder, root, image, label }: Making): Promise<void> {
  const whole = join(folder, 'whole')
  const context = join(folder, 'run')
  const slim = join(context, 'slim')
  await mkdir(whole)
  await mkdir(slim, { recursive: true })
  await run('tar', ['--extract', '--file', root, '--directory', whole])
  const { stdout } = await run('chroot', [whole, 'dpkg', '--listfiles', ...runtimePackages], { maxBuffer: 64 << 20 })
  const listed = stdout
    .split('\n')
    .filter((path) => path.length > 2 && !/^\/usr\/(share\/(doc|man|lintian|bug)|s?bin)\/|^\/s?bin\//.test(path))
  const files = [...listed.map((path) => path.replace(/^\/lib/, '/usr/lib')), '/lib', '/lib64', '/etc/ssl/certs/ca-certificates.crt']
  await writeFile(join(folder, 'files'), [...new Set(files)].map((path) => `.${path}\n`).join(''))
  const copy = [
    '--create',
    '--no-recursion',
    '--directory',
    whole,
    '--files-from',
    join(folder, 'files'),
    '--file',
    join(folder, 'slim.tar'),
  ]
  await run('tar', copy)
  await run('tar', ['--extract', '--file', join(folder, 'slim.tar'), '--directory', slim])
  await writeFile(
    join(slim, 'etc/passwd'),
    'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n',
  )
  await writeFile(join(slim, 'etc/group'), 'root:x:0:\nnonroot:x:65532:\n')
  const made = `LABEL skerry.test/made="${label}"`
  await buildFrom(docker, context, image, ['FROM scratch', 'COPY slim /', 'USER 65532:65532', made])

  await cp(join(whole, 'usr/bin/sleep'), join(context, 'sleep'))
  // The first process of a container hears no SIGTERM that it does not handle.
  const pause = [`FROM ${image}`, 'COPY sleep /usr/bin/sleep', 'STOPSIGNAL SIGKILL', 'ENTRYPOINT ["/usr/bin/sleep", "infinity"]', made]
  await buildFrom(docker, context, pauseImage, pause)
}

async function buildFrom({ build }: Docker, context: string, image: string, lines: string[]): Promise<void> {
  await writeFile(join(context, 'Dockerfile'), `${lines.join('\n')}\n`)
  await build(['--network', 'host', '--tag', image, context])
}
