import type { Json, KubeObject } from './object.ts'
import { apiVersionOf, type Column, type ResourceType } from './resources.ts'
import { notAcceptable } from './status.ts'
import type { Entry } from './store.ts'

/** The form of objects that a client requests: complete, metadata only, or rows for `kubectl get`. */
export type Representation = { as: 'object' } | { as: 'metadata' } | { as: 'table'; rows: 'Object' | 'Metadata' | 'None' }

/** Reads the Accept header and picks the first form that can be served. Throws 406 if there is none. */
export function representationOf(accept: string | undefined, query: URLSearchParams): Representation {
  if (!accept) return { as: 'object' }
  for (const range of accept.split(',')) {
    const [mediaType = '', ...parameters] = range.split(';').map((part) => part.trim())
    if (!['application/json', 'application/*', '*/*'].includes(mediaType)) continue
    const as = parameters.find((each) => each.startsWith('as='))?.slice(3)
    const version = parameters.find((each) => each.startsWith('v='))?.slice(2)
    if (as === undefined) return { as: 'object' }
    if (version !== undefined && version !== 'v1') continue
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') return { as: 'metadata' }
    if (as === 'Table') {
      const rows = query.get('includeObject')
      return { as: 'table', rows: rows === 'Object' || rows === 'None' ? rows : 'Metadata' }
    }
  }
  throw notAcceptable()
}

const partial = ({ metadata }: KubeObject): Json => ({ kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata })

function cellOf(column: Column, object: KubeObject): unknown {
  try {
    const value = column.value(object)
    return value === undefined ? '' : value
  } catch {
    return '' // built-in kinds are checked lightly, so the fields of a column may have any shape
  }
}

function rowOf(entry: Entry, type: ResourceType, rows: 'Object' | 'Metadata' | 'None'): Json {
  const { object } = entry
  return {
    cells: type.columns.map((column) => cellOf(column, object)),
    ...(rows === 'None' ? {} : { object: rows === 'Object' ? JSON.parse(entry.json(apiVersionOf(type))) : partial(object) }),
  }
}

function tableOf(entries: Entry[], type: ResourceType, metadata: Json, rows: 'Object' | 'Metadata' | 'None', withColumns: boolean): Json {
  const columnDefinitions = type.columns.map(({ name, type, format = '', description = '', priority }) => ({
    name,
    type,
    format,
    description,
    priority,
  }))
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: withColumns ? columnDefinitions : null,
    rows: entries.map((entry) => rowOf(entry, type, rows)),
  }
}

/** One object as text. `withColumns` is false for all but the first table of a watch. */
export function renderObject(entry: Entry, type: ResourceType, form: Representation, withColumns = true): string {
  if (form.as === 'object') return entry.json(apiVersionOf(type))
  if (form.as === 'metadata') return JSON.stringify(partial(entry.object))
  const { resourceVersion } = entry.object.metadata
  return JSON.stringify(tableOf([entry], type, { resourceVersion }, form.rows, withColumns))
}

/** A list as text, joined from the cached JSON of its objects. */
export function renderList(entries: Entry[], type: ResourceType, metadata: Json, form: Representation): string {
  if (form.as === 'table') return JSON.stringify(tableOf(entries, type, metadata, form.rows, true))
  const apiVersion = apiVersionOf(type)
  const items = entries.map((entry) => (form.as === 'object' ? entry.json(apiVersion) : JSON.stringify(partial(entry.object))))
  const kind = form.as === 'object' ? type.listKind : 'PartialObjectMetadataList'
  const version = form.as === 'object' ? apiVersion : 'meta.k8s.io/v1'
  return `{"kind":${JSON.stringify(kind)},"apiVersion":${JSON.stringify(version)},"metadata":${JSON.stringify(metadata)},"items":[${items.join(',')}]}`
}
