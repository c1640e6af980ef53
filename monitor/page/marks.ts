import { type ShownState, stateWords } from './health.ts'
import { type Html, html } from './html.ts'

/** A state: a shape, a colour and a word. */
export function stateMark(state: ShownState, word = stateWords[state]): Html {
  return html`<span class="state ${state}">${word}</span>`
}

/** The address of the page of a check. */
export function checkLink(name: string): string {
  return `check?${new URLSearchParams({ name }).toString()}`
}

/** A fact with its name, in a list of facts. */
export function fact(name: string, value: Html): Html {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>\n`
}
