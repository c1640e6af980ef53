import type { CheckState } from '../checks/kind.ts'
import { keptRuns, type PastRuns } from '../prober/past-runs.ts'
import { type Html, html } from './html.ts'

/** One letter for each state, as the style sheet has it. */
const letters: Record<CheckState, string> = { up: 'u', degraded: 'g', down: 'd', unknown: 'n' }

/** The last runs as a row of bars, the newest on the right: the worse, the taller. Equal ones side by side are one element. */
export function strip(past: PastRuns): Html {
  if (past.size === 0) return html``
  const counts: Record<CheckState, number> = { up: 0, degraded: 0, down: 0, unknown: 0 }
  const bars: Html[] = []
  let state: CheckState | undefined
  let length = 0
  const end = () => {
    if (state !== undefined) bars.push(html`<i class="${letters[state]} w${length}"></i>`)
    length = 0
  }
  for (const each of past.states()) {
    if (each !== state) end()
    state = each
    length++
    counts[each]++
  }
  end()
  const said = Object.entries(counts).flatMap(([name, count]) => (count === 0 ? [] : [`${count} ${name}`]))
  const label = `Last ${past.size} runs: ${said.join(', ')}`
  return html`<span class="strip" role="img" aria-label="${label}" title="${label}">${bars}</span>`
}

/** The style of the bars: a step of 5 pixels for each run. */
export const stripStyle = `.strip{display:inline-flex;align-items:flex-end;height:18px;vertical-align:middle}
.strip i{display:block;background-image:repeating-linear-gradient(90deg,var(--bar) 0 4px,transparent 4px 5px)}
.strip .u{height:8px;--bar:var(--up)}
.strip .g{height:13px;--bar:var(--degraded)}
.strip .d{height:18px;--bar:var(--down)}
.strip .n{height:4px;--bar:var(--unknown)}
${Array.from({ length: keptRuns }, (_, index) => `.w${index + 1}{width:${(index + 1) * 5}px}`).join('')}
`
