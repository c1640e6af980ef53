import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { createFileBdSeq } from '../../../monitor/sparkplug/bd-seq-file.ts'
import { createDiskBuffer } from '../../../monitor/sparkplug/disk-buffer.ts'
import { logInHand } from './node-in-hand.ts'

// The test runs itself again in a mount namespace of its own, where a small tmpfs stands for the disk. It is gone with the process.
const inside = process.env.SKERRY_SMALL_DISK
const skip = process.env.SKERRY_CLUSTER === 'real' ? false : 'mounting needs root, as in the real tier (SKERRY_CLUSTER=real)'
const { signal } = new AbortController()
const { log } = logInHand()

if (inside === undefined)
  for (const name of ['bdSeq', 'buffer'] as const)
    test(`${name} on a disk that is really full, and one that is really read-only`, { skip, timeout: 60_000 }, (t) => {
      const disk = mkdtempSync(path.join(tmpdir(), 'skerry-disk-'))
      t.after(() => rmSync(disk, { recursive: true, force: true }))
      const script = `mount -t tmpfs -o size=256k none "${disk}" && exec "${process.execPath}" --test --test-name-pattern="^${name}" "${import.meta.filename}"`
      const env = { ...process.env, SKERRY_SMALL_DISK: disk, NODE_TEST_CONTEXT: undefined }
      const { status, stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-c', script], { env, encoding: 'utf8' })
      assert.equal(status, 0, `${stdout}${stderr}`)
      assert.match(stdout, /pass 1\n/)
    })
else {
  const disk = inside
  const files = () => readdirSync(disk).filter((name) => name !== 'filler')
  const remount = (how: 'ro' | 'rw') => execFileSync('mount', ['-o', `remount,${how}`, disk])
  const fill = () => {
    try {
      for (;;) appendFileSync(path.join(disk, 'filler'), Buffer.alloc(4096))
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
    }
  }
  const failing = (code: string) => (error: Error) => error.message.includes(code) && error.message.includes('make room')

  test('bdSeq', async () => {
    const file = path.join(disk, 'bd-seq')
    const start = () => createFileBdSeq(file, { log })
    assert.equal(await start().next(signal), 0)
    fill()
    // Full: one number takes the place of the other, and no start repeats one.
    const second = start()
    assert.deepEqual([await second.next(signal), await second.next(signal), second.trouble?.()], [1, 2, undefined])
    assert.equal(await start().next(signal), 3)
    assert.deepEqual(files(), ['bd-seq'])
    // Full before there was a number: none is used.
    const first = createFileBdSeq(path.join(disk, 'other'), { log })
    await assert.rejects(first.next(signal), failing('ENOSPC'))
    await assert.rejects(first.next(signal), failing('ENOSPC'))
    assert.match(first.trouble?.() ?? '', /ENOSPC/)
    assert.deepEqual(files(), ['bd-seq'])
    rmSync(path.join(disk, 'filler'))
    assert.deepEqual([await first.next(signal), first.trouble?.()], [0, undefined])

    remount('ro')
    const third = start()
    await assert.rejects(third.next(signal), failing('EROFS'))
    await assert.rejects(start().next(signal), failing('EROFS'))
    remount('rw')
    assert.deepEqual([await third.next(signal), third.trouble?.()], [4, undefined])
    writeFileSync(file, '255')
    fill()
    assert.equal(await start().next(signal), 0)
    assert.equal(await start().next(signal), 1)
  })

  test('buffer', () => {
    const directory = path.join(disk, 'buffer')
    const open = () => createDiskBuffer({ directory, maxBytes: 1024 * 1024, values: 400 }, { log })
    const names = () => readdirSync(directory)
    const change = (index: number) => ({ device: 'host:a', name: 'Load', value: index, timestamp: index, quality: 192 as const })
    const buffer = open()
    fill()
    const full = names()
    for (let index = 0; index < 300; index++) buffer.append(change(index))
    buffer.save()
    assert.match(buffer.trouble?.() ?? '', /kept changes cannot be written: make room.*ENOSPC/)
    assert.deepEqual(names(), full, 'a file that failed keeps no room')
    // Nothing is lost as long as it fits into memory, and it goes to disk when there is room.
    rmSync(path.join(disk, 'filler'))
    buffer.save()
    assert.deepEqual([buffer.trouble?.(), buffer.dropped], [undefined, 0])
    assert.deepEqual(
      open()
        .read(0, 1_000)
        .map(({ change: { value } }) => value),
      Array.from({ length: 300 }, (_, index) => index),
    )
    remount('ro')
    buffer.append(change(300))
    buffer.save()
    assert.match(buffer.trouble?.() ?? '', /EROFS/)
    // The server has read it all: nothing has to go to disk any more.
    buffer.release(buffer.end)
    assert.equal(buffer.trouble?.(), undefined)
    remount('rw')
    buffer.append(change(301))
    buffer.save()
    assert.equal(buffer.trouble?.(), undefined)
    assert.ok(names().some((name) => readFileSync(path.join(directory, name), 'utf8').includes('301')))
  })
}
