import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Scene } from './bootstrap-scene.ts'
import { helm, type Manifest } from './helm.ts'

/** A release of these objects, as an earlier version of install.sh left it, in a namespace that it made. */
export async function installEarlier(scene: Scene, name: string, namespace: string, objects: Manifest[]): Promise<void> {
  const { http, bench, kubeconfig } = scene
  const source = join(bench.folder, 'earlier', name)
  await mkdir(join(source, 'templates'), { recursive: true })
  await writeFile(join(source, 'Chart.yaml'), stringify({ apiVersion: 'v2', name, version: '0.0.1' }))
  await writeFile(join(source, 'templates/objects.yaml'), objects.map((object) => stringify(object)).join('---\n'))
  await http.post('/api/v1/namespaces', { metadata: { name: namespace, labels: { 'app.kubernetes.io/part-of': 'skerry' } } })
  const { code, stderr } = await helm(['install', name, source, '-n', namespace, '--labels', 'app.kubernetes.io/part-of=skerry'], {
    kubeconfig,
  })
  assert.equal(code, 0, stderr)
}
