import { hash } from 'node:crypto'
import type { ApiDocument } from './document.ts'

type Json = Record<string, unknown>
type Operation = {
  operationId: string
  tags: string[]
  summary?: string
  description?: string
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema?: Json }[]
  requestBody?: { content: Record<string, { schema?: Json; example?: unknown }> }
  responses: Record<string, { description: string; content?: Record<string, { schema?: Json; example?: unknown }> }>
}

/**
 * The document as a page for people: one file that loads nothing and runs nothing. The policy allows its own style and no more,
 * so that even text that were not escaped could do nothing.
 */
export function createPage(document: ApiDocument): { html: string; contentSecurityPolicy: string } {
  const schemas = (document.components?.schemas ?? {}) as Record<string, Json>
  const operations = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Record<string, Operation>).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  )
  const tags = (document.tags ?? []).map(({ name }) => name)
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(document.info.title)} ${escapeHtml(document.info.version)}</title><style>${style}</style></head>
<body><header><h1>${escapeHtml(document.info.title)} <small>${escapeHtml(document.info.version)}</small></h1>
${prose(document.info.description ?? '')}<p><a href="openapi.json">openapi.json</a></p>
<nav>${tags.map((tag) => `<a href="#${anchor(tag)}">${escapeHtml(tag)}</a>`).join(' ')} <a href="#schemas">Schemas</a></nav></header>
<main>${tags
    .map((tag) => {
      const own = operations.filter(({ operation }) => operation.tags.includes(tag))
      return `<section id="${anchor(tag)}"><h2>${escapeHtml(tag)}</h2>${own.map(operationHtml).join('')}</section>`
    })
    .join('')}
<section id="schemas"><h2>Schemas</h2>${Object.entries(schemas)
    .map(
      ([name, schema]) =>
        `<details id="schema-${anchor(name)}"><summary><code>${escapeHtml(name)}</code></summary>${prose(String(schema.description ?? ''))}${fields(schema)}</details>`,
    )
    .join('')}</section></main></body></html>
`
  const styleHash = hash('sha256', style, 'base64')
  return {
    html,
    contentSecurityPolicy: `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  }
}

function operationHtml({ path, method, operation }: { path: string; method: string; operation: Operation }): string {
  const parameters = (operation.parameters ?? [])
    .map(
      ({ name, in: where, required, description, schema }) =>
        `<tr><td><code>${escapeHtml(name)}</code></td><td>${escapeHtml(where)}${required ? ', required' : ''}</td><td>${typeOf(schema)}</td><td>${inline(description ?? String(schema?.description ?? ''))}</td></tr>`,
    )
    .join('')
  const body = Object.entries(operation.requestBody?.content ?? {})
    .map(
      ([mediaType, { schema, example }]) => `<h4>Body <small>${escapeHtml(mediaType)}</small></h4>${fields(schema)}${exampleHtml(example)}`,
    )
    .join('')
  const responses = Object.entries(operation.responses)
    .map(([status, { description, content }]) => {
      const shown = Object.entries(content ?? {})
        .filter(([mediaType]) => mediaType !== 'application/problem+json')
        .map(([, { schema, example }]) => fields(schema) + exampleHtml(example))
        .join('')
      return `<tr><td><code>${escapeHtml(status)}</code></td><td>${inline(description)}${shown}</td></tr>`
    })
    .join('')
  return `<details id="${anchor(operation.operationId)}"><summary><b class="${method.toLowerCase()}">${method}</b> <code>${escapeHtml(path)}</code> <span>${escapeHtml(operation.summary ?? '')}</span></summary>
${prose(operation.description ?? '')}${parameters && `<h4>Parameters</h4><table>${parameters}</table>`}${body}<h4>Answers</h4><table>${responses}</table></details>`
}

/** A table of the fields of an object; of anything else its type. */
function fields(schema: Json | undefined, depth = 0): string {
  if (schema === undefined) return ''
  const properties = schema.properties as Record<string, Json> | undefined
  if (properties === undefined) {
    const items = schema.items as Json | undefined
    return items?.properties && depth < 6 ? `<p>A list of:</p>${fields(items, depth + 1)}` : `<p>${typeOf(schema)}</p>`
  }
  const required = new Set((schema.required as string[] | undefined) ?? [])
  const rows = Object.entries(properties).map(([name, field]) => {
    const inner = (field.properties ? field : (field.items as Json | undefined)?.properties ? (field.items as Json) : undefined) as
      | Json
      | undefined
    const nested = inner && depth < 6 ? fields(inner, depth + 1) : ''
    return `<tr><td><code>${escapeHtml(name)}</code>${required.has(name) ? ' <i>required</i>' : ''}</td><td>${typeOf(field)}</td><td>${inline(String(field.description ?? ''))}${nested}</td></tr>`
  })
  return `<table>${rows.join('')}</table>`
}

function typeOf(schema: Json | undefined): string {
  if (schema === undefined) return ''
  const reference = typeof schema.$ref === 'string' ? schema.$ref.split('/').at(-1) : undefined
  if (reference !== undefined) return `<a href="#schema-${anchor(reference)}">${escapeHtml(reference)}</a>`
  const alternatives = (schema.anyOf ?? schema.oneOf) as Json[] | undefined
  if (alternatives !== undefined) return alternatives.map(typeOf).join(' or ')
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => `<code>${escapeHtml(JSON.stringify(value))}</code>`).join(' ')
  if (schema.const !== undefined) return `<code>${escapeHtml(JSON.stringify(schema.const))}</code>`
  if (schema.type === 'array') return `list of ${typeOf(schema.items as Json | undefined) || 'anything'}`
  const limits = [
    schema.minimum !== undefined && `≥ ${schema.minimum}`,
    schema.maximum !== undefined && schema.maximum !== Number.MAX_SAFE_INTEGER && `≤ ${schema.maximum}`,
    schema.default !== undefined && `default ${JSON.stringify(schema.default)}`,
  ].filter(Boolean)
  return escapeHtml([String(schema.type ?? 'anything'), ...limits].join(', '))
}

function exampleHtml(example: unknown): string {
  return example === undefined ? '' : `<pre>${escapeHtml(JSON.stringify(example, null, 2))}</pre>`
}

/** Paragraphs, and code between backticks: all the Markdown that descriptions use. */
function prose(text: string): string {
  return text
    .split(/\n{2,}/)
    .filter((paragraph) => paragraph.trim() !== '')
    .map((paragraph) => `<p>${inline(paragraph)}</p>`)
    .join('')
}

function inline(text: string): string {
  return escapeHtml(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>')
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

function anchor(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
}

const style = `
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 18%,transparent)}
body{font:16px/1.55 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:2rem 1.25rem 6rem}
h1{font-size:1.7rem;margin:0}h2{margin:2.5rem 0 .75rem;font-size:1.25rem}h4{margin:1.1rem 0 .3rem}small{opacity:.6;font-weight:400}
code,pre{font:.88em/1.5 ui-monospace,monospace}pre{overflow:auto;padding:.75rem;border:1px solid var(--line);border-radius:.4rem}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1rem}a{color:inherit}
details{border:1px solid var(--line);border-radius:.4rem;margin:.4rem 0;padding:.45rem .8rem}
summary{cursor:pointer}summary span{opacity:.7}summary b{display:inline-block;min-width:4.3em}
.get{color:#2a78c4}.put,.patch{color:#b07a00}.post{color:#2b8a3e}.delete{color:#c9372c}
table{border-collapse:collapse;width:100%}td{vertical-align:top;padding:.3rem .6rem .3rem 0;border-top:1px solid var(--line)}td td:first-child{padding-left:.4rem}
`
