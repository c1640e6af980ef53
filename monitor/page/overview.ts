import type { CheckStatus } from '../prober/check.ts'
import { count } from '../wire/wording.ts'
import { type Frame, pageEnd, pageStart, troubles } from './frame.ts'
import { countStates, type Shown, type ShownState, shownOf, shownStates, stateWords, worstFirst } from './health.ts'
import { type Html, html } from './html.ts'
import { checkLink, fact, stateMark } from './marks.ts'
import type { PageNeeds } from './needs.ts'
import { pastProbes } from './probes.ts'
import { strip } from './strip.ts'
import { ago, spanText, tookText } from './times.ts'

/** What the page shows of the checks. */
type Filter = { state: ShownState | undefined; text: string }

/** The filter of a query; what it does not know is ignored. */
function filterOf(query: URLSearchParams): Filter {
  const state = shownStates.find((each) => each === query.get('state'))
  return { state, text: (query.get('q') ?? '').trim().slice(0, 200) }
}

/** The page of all checks, in pieces: a thousand checks are about a megabyte. */
export function* overview(needs: PageNeeds, query: URLSearchParams): Generator<string> {
  const { prober, clock } = needs
  const at = clock.monotonic()
  const all = [...prober.statuses()].map((status) => shownOf(status, at))
  const counts = countStates(all)
  const filter = filterOf(query)
  const shown = worstFirst(all.filter((each) => matches(each, filter)))
  const frame: Frame = { title: titleOf(counts, all.length), facts: needs.facts(), here: '.' }
  yield pageStart(frame).text
  yield html`<h1>Checks</h1>
${filterForm(filter)}
<div id="live">
${troubles(needs.readiness)}${tiles(counts, all.length, filter)}
`.text
  if (shown.length === 0) yield nothing(all.length).text
  else {
    const now = clock.now()
    const number = shown.length === all.length ? '' : `${shown.length} of `
    yield html`<table class="checks">
<caption>${number}${count(all.length, 'check')}, the worst first. <span id="found"></span></caption>
<thead><tr>${columns.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>
`.text
    for (const each of shown) yield row(each, now).text
    yield '</tbody></table>\n'
  }
  yield html`<p class="stamp">As of ${ago(clock.now(), clock.now(), `${new Date(clock.now()).toISOString().slice(0, 19)}Z`)}</p>
${needs.probes.past.list().length > 0 && html`<h2>Recent probes on request</h2>\n${pastProbes(needs, 10)}`}</div>
${monitorFacts(needs)}`.text
  yield pageEnd().text
}

const columns = ['State', 'Check', 'Target', 'For', 'Last run', 'Last runs', 'Why']

function titleOf(counts: Record<ShownState, number>, all: number): string {
  const bad = (['down', 'stale', 'degraded'] as const).filter((state) => counts[state] > 0)
  const said = bad.map((state) => `${counts[state]} ${state}`).join(', ')
  return `${said === '' ? count(all, 'check') : said} · Skerry monitor`
}

function matches({ state, status }: Shown, filter: Filter): boolean {
  if (filter.state !== undefined && filter.state !== state) return false
  if (filter.text === '') return true
  const { name, kind, target, labels, group } = status.check
  const text = [name, kind, target, group, ...Object.values(labels), status.detail, status.reason ?? ''].join('\n').toLowerCase()
  return text.includes(filter.text.toLowerCase())
}

function filterForm({ state, text }: Filter): Html {
  return html`<form class="filter" action="." method="get" role="search" aria-label="Checks">
<label>Find <input type="search" name="q" value="${text}" autocomplete="off" spellcheck="false"></label>
<label>State <select name="state"><option value="">all</option>
${shownStates.map((each) => html`<option value="${each}"${each === state ? html` selected` : ''}>${stateWords[each]}</option>\n`)}</select></label>
<button>Filter</button>
<label class="scripted" hidden><input type="checkbox" id="follow" checked> Refresh every 15 s</label>
</form>`
}

/** The counts, each a link to the checks in that state. */
function tiles(counts: Record<ShownState, number>, all: number, filter: Filter): Html {
  const link = (state: string, words: string, number: number) => {
    const search = new URLSearchParams({ ...(state !== '' && { state }), ...(filter.text !== '' && { q: filter.text }) })
    const isHere = (filter.state ?? '') === state
    return html`<li><a class="tile ${state}" href="./?${search.toString()}"${isHere ? html` aria-current="true"` : ''}><b>${number}</b> <span>${words}</span></a></li>\n`
  }
  return html`<ul class="tiles" aria-label="Checks by state">
${shownStates.map((state) => link(state, stateWords[state], counts[state]))}${link('', 'All', all)}</ul>`
}

function nothing(all: number): Html {
  if (all > 0) return html`<p class="empty">No check matches. <a href=".">Show all ${all}</a>.</p>\n`
  return html`<p class="empty">There are no checks. Write some into the file that <code>checks.file</code> of the configuration names.</p>\n`
}

function row({ status, state, ageMs }: Shown, now: number): Html {
  const { check, since, reason, detail, past } = status
  const was = state === 'stale' ? `Not heard of; before, it was ${status.state}. ` : ''
  return html`<tr class="${state}"><td class="c-state">${stateMark(state)}</td>
<th scope="row" class="c-name"><a href="${checkLink(check.name)}">${check.name}</a>${severity(check.severity)}</th>
<td class="c-target"><small>${check.kind}</small> ${check.target}</td>
<td class="c-since">${ago(since, now)}</td><td class="c-last">${lastRun(status, ageMs, now)}</td><td class="c-strip">${strip(past)}</td>
<td class="c-why">${was}${reason !== undefined && html`<b>${reason}</b> `}${detail}</td></tr>
`
}

function severity(name: string): Html {
  return name === 'warning' ? html`` : html` <small>${name}</small>`
}

function lastRun({ finishedAt, lastDuration }: CheckStatus, ageMs: number | undefined, now: number): Html {
  if (ageMs === undefined || finishedAt === undefined) return html`none yet`
  return html`${ago(finishedAt, now, `${spanText(ageMs)} ago`)}${lastDuration !== undefined && html` <small>in ${tookText(lastDuration)}</small>`}`
}

function monitorFacts({ facts, readiness }: PageNeeds): Html {
  const known = Object.entries(facts()).flatMap(([name, value]) => (value === undefined ? [] : [fact(name, html`${String(value)}`)]))
  const parts = readiness.map(({ name, trouble }) => {
    const reason = trouble()
    return fact(name, reason === undefined ? html`ready` : html`<b>not ready</b>: ${reason}`)
  })
  return html`<section aria-labelledby="monitor"><h2 id="monitor">This monitor</h2>
<dl class="facts-list">
${known}${parts}</dl></section>
`
}
