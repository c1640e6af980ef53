import { count } from '../wire/wording.ts'
import { pageEnd, pageStart } from './frame.ts'
import { type Html, html } from './html.ts'
import { stateMark } from './marks.ts'
import type { PageNeeds } from './needs.ts'
import { ago, moment, tookText } from './times.ts'

/** The page of the last probes on request, each with a link to its dialogue. */
export function probesPage(needs: PageNeeds): string {
  const { probes } = needs
  return html`${pageStart({ title: 'Probes · Skerry monitor', facts: needs.facts(), here: 'probes' })}<h1>Probes on request</h1>
<div id="live">
${pastProbes(needs)}</div>
<section aria-labelledby="modules"><h2 id="modules">Modules</h2>
<p>Ask for a probe with <code>probe?module=…&amp;target=…</code>, and for its dialogue with <code>&amp;debug=true</code>. Targets must be allowed by a rule.</p>
<ul class="modules">
${[...probes.moduleNames()].map(([name, prober]) => html`<li><code>${name}</code> <small>${prober}</small></li>\n`)}</ul>
${refused(needs)}</section>
${pageEnd()}`.text
}

/** The modules of a file that cannot be had. */
function refused({ probes }: PageNeeds): Html {
  const all = probes.refusedModules()
  if (all.length === 0) return html``
  return html`<h3>Refused modules</h3>
<ul>
${all.map(([name, reasons]) => html`<li><code>${name}</code>: ${reasons.join('; ')}</li>\n`)}</ul>
`
}

/** The last probes as a table. @param most how many of them */
export function pastProbes({ probes, clock }: PageNeeds, most = Infinity): Html {
  const all = probes.past.list()
  const past = all.slice(0, most)
  if (past.length === 0) return html`<p class="empty">No probe was asked for yet.</p>\n`
  const now = clock.now()
  const rows = past.map(
    ({ id, at, name, target, isUp, seconds, why }) => html`<tr class="${isUp ? 'up' : 'down'}">
<td class="c-state">${isUp ? stateMark('up', 'Success') : stateMark('down', 'Failure')}</td><th scope="row" class="c-name"><a href="logs?id=${id}">${target}</a></th>
<td class="c-module">${name}</td><td class="c-when">${moment(at)} <small>${ago(at, now)} ago</small></td><td class="c-took">${tookText(seconds)}</td>
<td class="c-why">${why}</td></tr>
`,
  )
  const isAll = past.length === all.length
  return html`<table class="past-probes">
<caption>${
    isAll
      ? html`${count(all.length, 'probe')}, the newest first. The last 100 are kept, and of those before them the last 100 that failed.`
      : html`The last ${past.length}; <a href="probes">all ${all.length}</a>.`
  } The link shows the dialogue.</caption>
<thead><tr>${columns.map((column) => html`<th scope="col">${column}</th>`)}</tr></thead>
<tbody>
${rows}</tbody></table>
`
}

const columns = ['Result', 'Target', 'Module', 'Ended (UTC)', 'Took', 'Why']
