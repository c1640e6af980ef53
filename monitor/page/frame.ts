import { createHash } from 'node:crypto'
import type { Readiness } from '../../shared/lifecycle.ts'
import { type Html, html } from './html.ts'
import { script } from './script.ts'
import { style } from './style.ts'

/** Changes with the files, so that a browser may keep them. */
const edition = createHash('sha256').update(style).update(script).digest('hex').slice(0, 12)

/** What stands at the top of every page. */
export type Frame = {
  title: string
  facts: Readonly<Record<string, string | number | boolean | undefined>>
  /** The path of the page, for the navigation. */
  here: string
}

const places = [
  ['.', 'Checks'],
  ['probes', 'Probes'],
  ['config', 'Configuration'],
  ['metrics', 'Metrics'],
  ['readyz', 'Readiness'],
] as const

/** The beginning of a page, up to its main part. All links are relative, so that a proxy may serve it below another path. */
export function pageStart({ title, facts, here }: Frame): Html {
  const { version, region, leader } = facts
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="icon.svg?${edition}" type="image/svg+xml">
<link rel="stylesheet" href="page.css?${edition}">
<script src="page.js?${edition}" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="top">
<p class="brand"><a href=".">Skerry monitor</a></p>
<nav aria-label="Pages"><ul>
${places.map(([path, name]) => html`<li><a href="${path}"${path === here ? html` aria-current="page"` : ''}>${name}</a></li>\n`)}</ul></nav>
<p class="facts">${region !== undefined && html`<span>${String(region)}</span> `}<span>${leader === true ? 'leader' : 'not the leader'}</span> <span>version ${String(version)}</span></p>
</header>
<main id="main">
`
}

/** The end of a page. */
export function pageEnd(): Html {
  return html`</main>
</body>
</html>
`
}

/** What keeps the monitor from being ready, and why its results may be old. */
export function troubles(readiness: readonly Readiness[]): Html {
  const found = readiness.flatMap(({ name, trouble }) => {
    const reason = trouble()
    return reason === undefined ? [] : [html`<li><strong>${name}</strong>: ${reason}</li>\n`]
  })
  if (found.length === 0) return html``
  return html`<section class="troubles" aria-labelledby="troubles"><h2 id="troubles">The monitor is not ready</h2><ul>
${found}</ul></section>
`
}

/** The icon: a rock in the sea. */
export const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#12506b"/>
<path d="M5 21 12 10l4 5 3-4 8 10z" fill="#f4f1e8"/><path d="M4 24q4-3 8 0t8 0 8 0" fill="none" stroke="#8fd0e8" stroke-width="2.4"/></svg>
`
