import { setTimeout as sleep } from 'node:timers/promises'
import { parseAllDocuments } from 'yaml'
import { type Body, createHttp, type Http } from '../client/http.ts'
import { isDiscovered } from '../discovered.ts'
import type { Access } from './access.ts'

const withinMs = 120_000
const definitionsPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

/** Creates the CRDs and waits until their kinds are discovered: a controller manager notices later ones only after half a minute. */
export async function define(access: Access, crds: string[]): Promise<void> {
  const definitions: Body[] = crds.flatMap((text) => parseAllDocuments(text)).map((document) => document.toJS())
  const http = createHttp({ url: access.url, ca: access.ca, token: access.adminToken })
  try {
    for (const definition of definitions) {
      const { status, text } = await http.post(definitionsPath, definition)
      if (status !== 201) throw new Error(`a definition was not accepted: ${text}`)
    }
    await untilDiscovered(http, definitions)
  } finally {
    http.close()
  }
}

async function untilDiscovered(http: Http, definitions: Body[]): Promise<void> {
  const get = async (path: string) => {
    const { status, body } = await http.get(path)
    return status === 200 ? body : undefined
  }
  for (const definition of definitions) {
    for (const deadline = performance.now() + withinMs; !(await isDiscovered(get, definition)); await sleep(50)) {
      if (performance.now() > deadline) throw new Error(`${definition.metadata.name} is not discovered`)
    }
  }
}
