import { type ProblemType, problems } from '../../../shared/errors.ts'
import type { ApiDocument } from './document.ts'
import { anchor, codeBlock, escapeHtml, htmlPage, inline, type Page, prose } from './markup.ts'
import { commonProblems, methodHtml, type Operation, operationHtml, problemsOf } from './operation-html.ts'
import { pageScript } from './page-script.ts'
import { type Schema, schemaHtml } from './schema-html.ts'

/** All operations of the document, in its order. */
function operationsOf(document: ApiDocument): Operation[] {
  return Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Record<string, Omit<Operation, 'method' | 'path'>>).map(([method, operation]) => ({
      path,
      method: method.toUpperCase(),
      ...operation,
    })),
  )
}

/**
 * The document as a page for people: one file that loads nothing. It can be read without its script, and its policy allows its own style and
 * script and no more, so that even text that were not escaped could do nothing.
 */
export function createPage(document: ApiDocument): Page {
  const { title, version, description = '' } = document.info
  const operations = operationsOf(document)
  const tags = (document.tags ?? []).map((tag) => ({ ...tag, own: operations.filter(({ tags }) => tags.includes(tag.name)) }))
  const schemas = Object.entries((document.components?.schemas ?? {}) as Record<string, Schema>)
  const contents = tags.map(({ name, own }) => {
    const links = own.map(
      ({ method, operationId, summary = '' }) =>
        `<li><a href="#${anchor(operationId)}">${methodHtml(method)}${escapeHtml(summary)}</a></li>`,
    )
    return `<a class="tag" href="#tag-${anchor(name)}">${escapeHtml(name)}</a><ul>${links.join('')}</ul>`
  })
  const reads = operations.filter(({ method }) => method === 'GET')
  const common = { all: commonProblems(operations), changes: commonProblems(operations.filter((each) => !reads.includes(each))) }
  const commonOf = (operation: Operation) => (reads.includes(operation) ? common.all : common.changes)
  const sections = tags.map(
    ({ name, description: about = '', own }) =>
      `<section><h2 id="tag-${anchor(name)}">${escapeHtml(name)}</h2>${prose(about)}${own.map((each) => operationHtml(each, commonOf(each))).join('')}</section>`,
  )
  const body = `<a class="skip" href="#content">Skip to the content</a><div class="shell">
<nav class="side" aria-label="Contents"><details open><summary>Contents</summary><a class="tag" href="#content">${escapeHtml(title)}</a>${contents.join('')}
<a class="tag" href="#schemas">Schemas</a><a class="tag" href="#problems">Problems</a></details></nav>
<main id="content"><h1>${escapeHtml(title)} <small>${escapeHtml(version)}</small></h1>${prose(description)}
<p>The same as a document for programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
${startHtml}
<div class="tools" role="search" hidden><input id="search" type="search" placeholder="Search   /" aria-label="Search operations and their fields"><button id="expand" type="button">Expand all</button><button id="collapse" type="button">Collapse all</button><span id="found" class="muted" role="status"></span></div>
${sections.join('\n')}
<section><h2 id="schemas">Schemas</h2>${schemas.map(schemaSection).join('')}</section>
<section><h2 id="problems">Problems</h2><p>The last part of a problem's <code>type</code> is one of these. Every request may be answered with ${linksTo(common.all)}. One that changes something also with ${linksTo(common.changes.filter((type) => !common.all.includes(type)))}.</p><ul class="problems">${problemTypes.map(problemItem).join('')}</ul></section></main></div>`
  return htmlPage({ title: `${title} ${version}`, body, script: pageScript })
}

const startHtml = `<h4>To try the examples</h4><figure><figcaption>Shell</figcaption><pre tabindex="0">url=<span class="origin">https://agent.example.org:8443</span>
token='the token of your cloud'
export CURL_CA_BUNDLE=ca.pem   # only if the agent's certificate has a CA of its own</pre></figure>`

function linksTo(types: string[]): string {
  return types.map((type) => `<a href="problems/${type}">${type}</a>`).join(', ')
}

function schemaSection([name, schema]: [string, Schema]): string {
  const about = typeof schema.description === 'string' ? schema.description : ''
  return `<details class="op"><summary><h3><code>${escapeHtml(name)}</code><span class="muted">${inline(about)}</span></h3></summary><div class="cols" id="schema-${anchor(name)}"><div>${schemaHtml(schema)}</div></div></details>`
}

/** Every type of problem that the agent's API answers with. */
export const problemTypes = Object.keys(problems) as ProblemType[]

function problemItem(type: ProblemType): string {
  const { status, title } = problems[type]
  return `<li><code>${status}</code> <a href="problems/${type}">${type}</a>: ${inline(title)}.</li>`
}

const retries = {
  never: 'The same request fails again. Change it first.',
  backoff: 'The same request may succeed. Repeat it with the same Idempotency-Key, after a growing pause.',
  later: 'The same request may succeed after a change elsewhere, which the detail names.',
}

/** The page of a type of problem: what it says, what to do, and which operations answer with it. */
export function createProblemPage(document: ApiDocument, type: ProblemType, typeUri: string): Page {
  const { status, title, action, retry } = problems[type]
  const answering = operationsOf(document).filter(({ responses }) =>
    Object.values(responses).some((each) => problemsOf(each).includes(type)),
  )
  const example = { type: typeUri, title, status, detail: 'What happened in this case.', instance: '/v1/requests/…', action, retry }
  const items = answering.map(
    ({ method, path, operationId }) =>
      `<li>${methodHtml(method)} <a href="../docs#${anchor(operationId)}"><code>${escapeHtml(path)}</code></a></li>`,
  )
  const where = items.length === 0 ? '' : `<h2>Operations that answer with it</h2><ul class="problems">${items.join('')}</ul>`
  const body = `<main class="plain"><p><a href="../docs">Reference</a> › <a href="../docs#problems">Problems</a></p><h1>${inline(title)}</h1>
<dl><dt>Type</dt><dd><code>${type}</code></dd><dt>Status</dt><dd>${status}</dd><dt>What to do</dt><dd>${inline(action)}</dd><dt>Retry</dt><dd><code>${retry}</code>: ${retries[retry]}</dd></dl>
${codeBlock('Answer, as application/problem+json', JSON.stringify(example, null, 2))}${where}</main>`
  return htmlPage({ title: `${title} (${type})`, body })
}
