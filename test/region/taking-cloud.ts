import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { serveCloud } from '../cloud/serve.ts'
import { tokenWith } from '../cloud/world.ts'
import type { Region } from './index.ts'

/** A cloud that takes the region by the token in its Secret `skerry-join`. @returns the agent's settings for it, with a file in that folder */
export async function startTakingCloud(t: TestContext, { admin, namespace }: Pick<Region, 'admin' | 'namespace'>, directory: string) {
  const served = await serveCloud()
  t.after(() => served.close())
  const token = tokenWith()
  served.cloud.registry.addToken(token)
  const data = { token: Buffer.from(token).toString('base64') }
  const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'skerry-join', namespace }, data }
  await admin.request({ method: 'POST', path: `/api/v1/namespaces/${namespace}/secrets`, body })
  const caFile = join(directory, 'cloud.crt')
  await writeFile(caFile, served.ca)
  return { url: served.origin, caFile }
}
