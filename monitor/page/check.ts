import { formatDuration } from '../../shared/fields.ts'
import type { CheckStatus } from '../prober/check.ts'
import { reasons } from '../wire/reasons.ts'
import { checkConfig, yamlOf } from './configuration.ts'
import { pageEnd, pageStart } from './frame.ts'
import { shownOf } from './health.ts'
import { type Html, html, lines } from './html.ts'
import { checkLink, fact, stateMark } from './marks.ts'
import type { PageNeeds } from './needs.ts'
import { strip } from './strip.ts'
import { ago, moment, spanText, tookText } from './times.ts'

/** The page of one check; undefined if there is none of that name. */
export function checkPage(needs: PageNeeds, name: string): string | undefined {
  const { prober, clock } = needs
  const status = prober.status(name)
  if (status === undefined) return undefined
  const { check, since, reason, detail, lastSuccessAt, consecutiveFailures, past } = status
  const now = clock.now()
  const { state, ageMs } = shownOf(status, clock.monotonic())
  const hint = reason === undefined || reason === 'dependency' ? undefined : reasons[reason]
  return html`${pageStart({ title: `${check.name} · Skerry monitor`, facts: needs.facts(), here: 'check' })}<h1>${check.name}</h1>
<div id="live">
<p class="verdict">${stateMark(state)} ${state === 'stale' && html`Before, it was ${status.state}. `}
${reason !== undefined && html`<b>${reason}</b> `}${detail}</p>
${hint !== undefined && !detail.includes(hint) && html`<p class="hint">${hint}</p>\n`}<p>${strip(past)}</p>
<dl class="facts-list">
${fact('State since', html`${moment(since)} UTC, ${ago(since, now)} ago`)}
${fact('Last run ended', ageMs === undefined ? html`none has ended yet` : html`${spanText(ageMs)} ago`)}
${fact('Last success', lastSuccessAt === undefined ? html`none` : html`${moment(lastSuccessAt)} UTC, ${ago(lastSuccessAt, now)} ago`)}
${fact('Failed runs in a row', html`${consecutiveFailures}`)}
${fact('Target', html`${check.target} <small>${check.kind}</small>`)}
${fact('Severity', html`${check.severity}`)}
${fact('Runs every', html`${formatDuration(check.intervalMs)}, for at most ${formatDuration(check.timeoutMs)}`)}
${fact('Retries', html`${check.retries}`)}
${fact('Depends on', links(check.dependsOn))}
${fact('Needed by', links(dependants(needs, check.name)))}</dl>
${runs(status)}${measurements(status)}</div>
<h2 id="settings">Settings</h2>
<pre tabindex="0" role="region" aria-labelledby="settings">${lines(yamlOf(checkConfig(check)))}</pre>
${pageEnd()}`.text
}

function links(names: readonly string[]): Html {
  if (names.length === 0) return html`nothing`
  return html`${names.map((name, index) => html`${index === 0 ? '' : ', '}<a href="${checkLink(name)}">${name}</a>`)}`
}

const mostNamed = 50

function dependants({ prober }: PageNeeds, name: string): string[] {
  const found: string[] = []
  for (const { check } of prober.statuses()) if (check.dependsOn.includes(name) && found.length < mostNamed) found.push(check.name)
  return found
}

function runs({ past }: CheckStatus): Html {
  if (past.size === 0) return html``
  const rows = [...past].reverse().map(
    ({ at, state, seconds, reason, detail }) => html`<tr class="${state}"><td class="c-state">${stateMark(state)}</td>
<td class="c-when">${moment(at)}</td><td class="c-took">${tookText(seconds)}</td>
<td class="c-why">${reason !== undefined && html`<b>${reason}</b> `}${detail}</td></tr>
`,
  )
  return html`<table class="runs">
<caption>Last ${past.size} runs, the newest first: what each saw, before retries, recovery and dependencies are considered</caption>
<thead><tr><th scope="col">State</th><th scope="col">Ended (UTC)</th><th scope="col">Took</th><th scope="col">Detail</th></tr></thead>
<tbody>
${rows}</tbody></table>
`
}

const mostMeasurements = 100

function measurements({ measurements: all }: CheckStatus): Html {
  if (all.length === 0) return html``
  const rows = all.slice(0, mostMeasurements).map(({ name, value, labels }) => {
    const words = Object.entries(labels ?? {}).map(([label, text]) => `${label}=${text}`)
    return html`<tr><th scope="row">${name}</th><td>${words.join(', ')}</td><td class="number">${value}</td></tr>\n`
  })
  return html`<table class="measurements">
<caption>Measurements of the last run that had any${all.length > rows.length && `: ${rows.length} of ${all.length}`}</caption>
<thead><tr><th scope="col">Series</th><th scope="col">Labels</th><th scope="col">Value</th></tr></thead>
<tbody>
${rows}</tbody></table>
`
}
