import assert from 'node:assert/strict'
import { once } from 'node:events'
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { filePlace } from '../../../agent/export/places/file.ts'
import { PlaceFault } from '../../../agent/export/places/place.ts'

const made = (text: string) => ({
  bytes: Buffer.from(text),
  digest: '8f'.repeat(32),
  content: '02'.repeat(32),
  region: 'harbour-1',
  createdAt: '2026-01-31T12:00:00.000Z',
  isEmpty: false,
})
const never = new AbortController().signal

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-region-file-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

test('the file is replaced as a whole, only its owner reads it, and nothing else stays', async (t) => {
  const folder = await folderOf(t)
  const path = join(folder, 'region.json')
  // As a process leaves it that was killed in the middle.
  await writeFile(join(folder, '.region.json.0123456789ab.tmp'), 'half')
  await writeFile(join(folder, 'notes'), 'of somebody else')
  for (const text of ['first', 'second']) await filePlace(path).write(made(text), never)
  assert.equal(await readFile(path, 'utf8'), 'second')
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.deepEqual((await readdir(folder)).sort(), ['notes', 'region.json'])
})

test('the file of an earlier cluster stays under another name, however often the first write is tried', async (t) => {
  const folder = await folderOf(t)
  const path = join(folder, 'region.json')
  await writeFile(path, 'of the cluster before')
  for (const text of ['first', 'again']) await filePlace(path).write(made(text), never, true)
  const aside = 'region.json.before-20260131T120000Z'
  assert.deepEqual((await readdir(folder)).sort(), ['region.json', aside])
  assert.equal(await readFile(join(folder, aside), 'utf8'), 'of the cluster before')
  assert.equal(await readFile(path, 'utf8'), 'again')
})

test('a write that is given up leaves the file that was there', async (t) => {
  const folder = await folderOf(t)
  const path = join(folder, 'region.json')
  await filePlace(path).write(made('first'), never)
  const ending = new AbortController()
  const writing = filePlace(path).write({ ...made(''), bytes: Buffer.alloc(32 * 2 ** 20, 'x') }, ending.signal)
  ending.abort(new Error('stopping'))
  await assert.rejects(writing, /stopping/)
  assert.equal(await readFile(path, 'utf8'), 'first')
  assert.deepEqual(await readdir(folder), ['region.json'])
})

test('a link leads to the disk that has the file, and stays', async (t) => {
  const folder = await folderOf(t)
  await mkdir(join(folder, 'disk'))
  await writeFile(join(folder, 'disk/region.json'), 'before')
  await symlink('disk/region.json', join(folder, 'region.json'))
  await filePlace(join(folder, 'region.json')).write(made('after'), never)
  assert.equal(await readFile(join(folder, 'disk/region.json'), 'utf8'), 'after')
  assert.ok((await lstat(join(folder, 'region.json'))).isSymbolicLink())
})

test('what is no file is not replaced by one', async (t) => {
  const folder = await folderOf(t)
  const path = join(folder, 'socket')
  const server = createServer().listen(path)
  t.after(() => server.close())
  await once(server, 'listening')
  await assert.rejects(filePlace(path).write(made('first'), never), /socket cannot be written: it is a device or a pipe, and no file\./)
  assert.ok((await stat(path)).isSocket())
})

test('a file that cannot be written says why', async (t) => {
  const folder = await folderOf(t)
  await assert.rejects(filePlace(join(folder, 'missing', 'region.json')).write(made('x'), never), (error: unknown) => {
    assert.ok(error instanceof PlaceFault)
    assert.match(error.message, /region\.json cannot be written: its folder does not exist\.$/)
    return true
  })
  await mkdir(join(folder, 'region.json'))
  await assert.rejects(filePlace(join(folder, 'region.json')).write(made('x'), never), /cannot be written: it is a folder\.$/)
  assert.deepEqual(await readdir(folder), ['region.json'])
})
