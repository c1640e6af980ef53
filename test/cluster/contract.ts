import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after } from 'node:test'
import { parse } from 'yaml'
import { type Answer, type Body, createHttp, expectCode, type Http } from './client/http.ts'
import { isDiscovered } from './discovered.ts'
import { startCluster } from './start.ts'
import type { TestCluster } from './test-cluster.ts'
import { until, untilQuotasCount } from './until.ts'

/**
 * Shared by the contract tests of one file. Every test uses its own namespaces and names, so that the suite also runs on a
 * cluster that others use.
 */
export type Contract = {
  cluster: TestCluster
  /** Calls the API as the administrator. */
  http: Http
  /** A new namespace; resolves with its name. */
  namespace(): Promise<string>
  /** Creates a definition and waits until its objects are served and discovered; resolves with the definition as served. */
  define(definition: Body): Promise<Body>
  /** The path of a definition's objects in a new namespace. */
  pathOf(definition: Body): Promise<string>
}

export { expectCode, until, untilQuotasCount }

/** Starts the cluster that `SKERRY_CLUSTER` names, and stops it after the last test of the calling file. */
export async function startContract(): Promise<Contract> {
  const cluster = await startCluster()
  const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
  const made: string[] = []

  after(async () => {
    if (process.env.SKERRY_KUBECONFIG) for (const path of made) await http.delete(path)
    http.close()
    await cluster.stop()
  })

  async function namespace(): Promise<string> {
    const name = uniqueName('contract')
    expectCode(await http.post('/api/v1/namespaces', { metadata: { name } }), 201)
    made.push(`/api/v1/namespaces/${name}`)
    return name
  }

  return {
    cluster,
    http,
    namespace,
    pathOf: async ({ spec }) => `/apis/${spec.group}/v1/namespaces/${await namespace()}/${spec.names.plural}`,
    async define(definition) {
      const { name } = expectCode(await http.post(crds, definition), 201).metadata
      made.push(`${crds}/${name}`)
      await until(`${name} is discovered`, () => isDiscovered(bodyOf(http), definition))
      const isEstablished = (condition: Body) => condition.type === 'Established' && condition.status === 'True'
      return until(`${name} is established`, async () => {
        const { body } = await http.get(`${crds}/${name}`)
        return body.status?.conditions?.some(isEstablished) && body
      })
    },
  }
}

export const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

export function uniqueName(prefix: string): string {
  return `${prefix}-${randomBytes(4).toString('hex')}`
}

/**
 * A definition of one kind with one version `v1`, in a group that no other test uses.
 *
 * @param kind `Boat` is served as `boats`
 * @param properties of the schema, besides apiVersion, kind and metadata; without them, every field is pruned
 * @param more of the version: `subresources`, `additionalPrinterColumns`
 */
export function definitionOf(kind: string, properties: Body = {}, more: Body = {}): Body {
  const plural = `${kind.toLowerCase()}s`
  const group = `${uniqueName(plural)}.example`
  const schema = { openAPIV3Schema: { type: 'object', properties } }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: { group, scope: 'Namespaced', names: { kind, plural }, versions: [{ name: 'v1', served: true, storage: true, schema, ...more }] },
  }
}

/** A YAML file beside the tests, parsed. */
export function readYaml(path: string): Body {
  return parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
}

/** Asserts a failure in the form of a `Status` object: HTTP code, the same code in the body, the reason, and a message that fits. */
export function expectFailure(answer: Answer, code: number, reason: string, message?: string | RegExp): Body {
  assert.equal(answer.status, code, answer.text)
  const { kind, apiVersion, status, reason: given, code: bodyCode } = answer.body
  assert.deepEqual(
    { kind, apiVersion, status, reason: given, code: bodyCode },
    { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, code },
    answer.text,
  )
  if (typeof message === 'string') assert.equal(answer.body.message, message)
  else if (message) assert.match(answer.body.message, message)
  return answer.body
}

/** The causes of a 422, as `field: reason`, sorted, each once: the real API server reports some of them twice. */
export function causesOf(status: Body): string[] {
  const causes: Body[] = status.details?.causes ?? []
  return [...new Set(causes.map(({ field, reason }) => `${field}: ${reason}`))].sort()
}

/** The fields that a 422 names, without the indexes of list items, which Kubernetes omits for custom objects up to 1.22. */
export function fieldsOf(status: Body): string[] {
  const causes: Body[] = status.details?.causes ?? []
  return [...new Set(causes.map(({ field }) => withoutPlaces(field)))].sort()
}

/** `spec.crew.role` for `spec.crew[1].role`. */
export function withoutPlaces(text: string): string {
  return text.replace(/\[\d+\]/g, '')
}

/** The parsed answer of a path; undefined if the request fails. */
function bodyOf(http: Http): (path: string) => Promise<Body | undefined> {
  return async (path) => {
    const { status, body } = await http.get(path)
    return status === 200 ? body : undefined
  }
}
