import { problemMediaType } from '../../../shared/errors.ts'
import { anchor, codeBlock, escapeHtml, inline, prose } from './markup.ts'
import { type Schema, schemaHtml, typeOf } from './schema-html.ts'

type Content = Record<string, { schema?: Schema; example?: unknown }>
type Parameter = { name: string; in: string; required?: boolean; description?: string; schema?: Schema; example?: unknown }

/** An operation of the document, with its method and path. */
export type Operation = {
  method: string
  path: string
  operationId: string
  tags: string[]
  summary?: string
  description?: string
  parameters?: Parameter[]
  requestBody?: { content: Content; required?: boolean }
  responses: Record<string, { description: string; content?: Content }>
}

/** The types of problems in the description of a response. */
export function problemsOf(response: { description: string; content?: Content }): string[] {
  if (response.content?.[problemMediaType] === undefined) return []
  return [...response.description.matchAll(/`([a-z-]+)`: /g)].map(([, type = '']) => type)
}

/** The method in its colour. */
export function methodHtml(method: string): string {
  return `<b class="${method.toLowerCase()}">${method}</b>`
}

/** The types of problems that every one of these operations answers with. */
export function commonProblems(operations: Operation[]): string[] {
  const [first = [], ...others] = operations.map(({ responses }) => Object.values(responses).flatMap(problemsOf))
  return first.filter((type) => others.every((types) => types.includes(type)))
}

/**
 * An operation, closed until somebody opens it or a link leads into it.
 * @param common types of problems that the page names once, for all of its kind
 */
export function operationHtml(operation: Operation, common: readonly string[]): string {
  const { method, path, operationId, summary = '', description = '', parameters = [], requestBody, responses } = operation
  const bodies = Object.entries(requestBody?.content ?? {}).map(
    ([mediaType, { schema }]) => `<h4>Body <small>${escapeHtml(mediaType)}</small></h4>${schemaHtml(schema)}`,
  )
  return `<details class="op"><summary><h3>${methodHtml(method)}<code>${escapeHtml(path)}</code><span class="muted">${escapeHtml(summary)}</span></h3></summary>
<div class="cols" id="${anchor(operationId)}"><div>${prose(description)}${parametersHtml(parameters)}${bodies.join('')}${answersHtml(responses, common)}</div>
<div>${codeBlock('Request', curlOf(operation))}${exampleHtml(responses)}</div></div></details>`
}

function parametersHtml(parameters: Parameter[]): string {
  if (parameters.length === 0) return ''
  const items = parameters.map(({ name, in: where, required, description, schema }) => {
    const text = description ?? (schema?.description as string | undefined)
    return `<li><code>${escapeHtml(name)}</code> <i>${where}, ${typeOf(schema)}</i>${required ? ' <em>required</em>' : ''}${text === undefined ? '' : `<p>${inline(text)}</p>`}</li>`
  })
  return `<h4>Parameters</h4><ul class="fields">${items.join('')}</ul>`
}

function answersHtml(responses: Operation['responses'], common: readonly string[]): string {
  const answers = Object.entries(responses).filter(([status]) => Number(status) < 400)
  const items = answers.map(([status, { description, content = {} }]) => {
    const shown = Object.values(content).map(({ schema }) => schemaHtml(schema))
    return `<li><code>${status}</code> ${inline(description)}${shown.join('')}</li>`
  })
  const problems = Object.entries(responses).flatMap(([status, response]) => {
    const own = problemsOf(response).filter((type) => !common.includes(type))
    const links = own.map((type) => `<a href="problems/${type}">${type}</a>`)
    return links.length === 0 ? [] : [`<li><code>${status}</code> ${links.join(', ')}</li>`]
  })
  return `<h4>Answers</h4><ul class="fields">${items.join('')}</ul><h4>Problems</h4><ul class="problems">${problems.join('')}<li><a href="#problems">Those of every request</a></li></ul>`
}

/** The example of the usual answer: of a request that changes something, that it was accepted. */
function exampleHtml(responses: Operation['responses']): string {
  const status = ['202', '200'].find((each) => responses[each]?.content !== undefined)
  const example = status && Object.values(responses[status]?.content ?? {})[0]?.example
  if (example === undefined || example === '') return ''
  return codeBlock(`Answer ${status}`, typeof example === 'string' ? example.trimEnd() : JSON.stringify(example, null, 2))
}

/** The request for a shell. `$url` and `$token` are those of the introduction. */
function curlOf({ method, path, parameters = [], requestBody }: Operation): string {
  const [mediaType, body] = Object.entries(requestBody?.content ?? {})[0] ?? []
  const exampleOf = (name: string) => {
    const parameter = parameters.find((each) => each.name === name)
    return String(parameter?.example ?? parameter?.schema?.example ?? name)
  }
  const target = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(exampleOf(name)))
  const isStream = path.endsWith('/events')
  return [
    `curl ${isStream ? '-N ' : ''}${method === 'GET' ? '' : `-X ${method} `}"$url${target}"`,
    '-H "Authorization: Bearer $token"',
    ...(mediaType === undefined ? [] : [`-H 'content-type: ${mediaType}'`]),
    // A file is too long for an example.
    ...(mediaType !== undefined && body?.example === undefined && requestBody?.required ? ['--data-binary @region.json'] : []),
    ...(body?.example === undefined ? [] : [`-d '${JSON.stringify(body.example, null, 2).replaceAll("'", "'\\''")}'`]),
  ].join(' \\\n  ')
}
