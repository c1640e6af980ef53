import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createHttp } from '../client/http.ts'
import { startEmbeddedCluster } from './index.ts'
import { builtInTypes } from './kinds.ts'
import { fc } from './property.ts'
import { apiVersionOf } from './resources.ts'

const cluster = await startEmbeddedCluster()
const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
after(async () => {
  http.close()
  await cluster.stop()
})

/** Field names that the server acts on, so that a document gets past the first check. */
const keys = fc.constantFrom(
  ...['spec', 'status', 'data', 'stringData', 'type', 'immutable', 'rules', 'verbs', 'resources', 'subjects', 'roleRef', 'kind', 'group'],
  ...['selector', 'matchLabels', 'template', 'metadata', 'labels', 'containers', 'ports', 'port', 'limits', 'hard', 'default', 'requests'],
  ...[
    'versions',
    'names',
    'plural',
    'schema',
    'openAPIV3Schema',
    'properties',
    'items',
    'finalizers',
    'ownerReferences',
    'uid',
    '__proto__',
  ],
  ...['accessModes', 'storage', 'volumeClaimTemplates', 'clusterIP', 'conditions', 'containerStatuses', 'loadBalancer', 'ingress', 'max'],
)
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, 0, -1, 1.5, '', 'a', 'Cluster', '1Gi', 'v1'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(keys, tie('value'), { maxKeys: 5 }),
  ),
}))
const document = fc.dictionary(keys, value, { maxKeys: 6, noNullPrototype: true })
const types = builtInTypes()

test('no document brings the server to an internal error, nor what it stored from one', async () => {
  let count = 0
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...types), document, document, async (type, first, second) => {
      const path = `${type.group ? '/apis/' : '/api/'}${apiVersionOf(type)}${type.namespaced ? '/namespaces/default' : ''}/${type.plural}`
      const name = `n${count++}`
      const whole = (content: { metadata?: object }) => ({
        ...content,
        apiVersion: apiVersionOf(type),
        kind: type.kind,
        metadata: { ...content.metadata, name },
      })
      const table = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } }
      const answers = [
        await http.post(path, whole(first)),
        await http.patch('apply', `${path}/${name}?fieldManager=m&force=true`, whole(second)),
        await http.patch('strategic', `${path}/${name}`, second),
        await http.patch('merge', `${path}/${name}`, first),
        await http.get(path, table),
        await http.delete(`${path}/${name}`),
      ]
      // The real one answers 500 to list items without their key, too.
      for (const { status, text } of answers) assert.ok(status < 500 || text.includes('failed to create typed patch object'), text)
    }),
    { numRuns: 300 },
  )
})
