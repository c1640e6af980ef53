import { hash } from 'node:crypto'

/** Text as HTML, in elements and in quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** Code between backticks: all the Markdown that a line may have. */
export function inline(text: string): string {
  return escapeHtml(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>')
}

/** Paragraphs of lines. */
export function prose(text: string): string {
  const paragraphs = text.split(/\n{2,}/).filter((paragraph) => paragraph.trim() !== '')
  return paragraphs.map((paragraph) => `<p>${inline(paragraph)}</p>`).join('')
}

/** The fragment of a name. */
export function anchor(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9]+/g, '-')
}

/** A block of code under a title. The page's script adds the button that copies it. */
export function codeBlock(title: string, code: string): string {
  return `<figure><figcaption>${inline(title)}</figcaption><pre tabindex="0">${escapeHtml(code)}</pre></figure>`
}

/** An HTML page and the policy that lets it run its own style and script and nothing else. */
export type Page = { html: string; contentSecurityPolicy: string }

/** A page that loads nothing. Text that was not escaped could do nothing: the policy names the only style and script by their hashes. */
export function htmlPage({ title, body, script }: { title: string; body: string; script?: string }): Page {
  const sources = script === undefined ? '' : `script-src '${hashOf(script)}'; `
  return {
    html: `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title><style>${style}</style></head>
<body>${body}${script === undefined ? '' : `<script>${script}</script>`}</body></html>
`,
    contentSecurityPolicy: `default-src 'none'; style-src '${hashOf(style)}'; ${sources}base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  }
}

function hashOf(text: string): string {
  return `sha256-${hash('sha256', text, 'base64')}`
}

/** The colours of text have a contrast of at least 4.5 : 1 on both backgrounds (WCAG 2.2, 1.4.3). */
const style = `
:root{color-scheme:light dark;--back:#fff;--panel:#f4f6f8;--text:#1a1f26;--muted:#55606c;--line:#d8dee4;--link:#0b5cad;--get:#0b5cad;--post:#1a6e33;--put:#855000;--patch:#7a3e9d;--delete:#b3261e}
@media(prefers-color-scheme:dark){:root{--back:#12161b;--panel:#1b2129;--text:#e3e8ee;--muted:#9aa7b4;--line:#2f3842;--link:#7db8ff;--get:#7db8ff;--post:#6fd08c;--put:#e8b563;--patch:#cfa4f0;--delete:#ff8f85}}
*{box-sizing:border-box}
html{scroll-padding-top:4rem}
body{margin:0;background:var(--back);color:var(--text);font:15px/1.55 system-ui,sans-serif}
a{color:var(--link)}:focus-visible{outline:2px solid var(--link);outline-offset:2px}
code,pre{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}code{overflow-wrap:anywhere}
p{margin:.5rem 0;max-width:46rem}small,.muted{color:var(--muted);font-weight:400}
h1{font-size:1.6rem;margin:0 0 .75rem}h2{font-size:1.3rem;margin:3rem 0 .25rem}h4{margin:1.4rem 0 .4rem;font-size:1rem}h3{margin:0;font-size:1rem}
[hidden]{display:none!important}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:1rem;background:var(--back);padding:.5rem;z-index:3}
.shell{display:grid;grid-template-columns:19rem minmax(0,1fr)}
.side{position:sticky;top:0;height:100vh;overflow-y:auto;border-right:1px solid var(--line);background:var(--panel);padding:1rem .9rem 3rem}
.side ul{list-style:none;margin:.1rem 0 .8rem;padding:0}.side summary{display:none}
.side a{display:flex;gap:.5rem;padding:.17rem .4rem;border-radius:.3rem;text-decoration:none;color:inherit;font-size:.87rem;line-height:1.35}
.side a:hover{background:var(--line)}.side .tag{font-weight:600;font-size:.95rem}.side b{flex:none;width:3.6rem;text-align:right;font-size:.7rem;line-height:1.6}
main{padding:2rem 2.25rem 8rem;max-width:82rem;min-width:0}
.tools{position:sticky;top:0;z-index:2;display:flex;gap:.5rem;align-items:center;background:var(--back);padding:.6rem 0;border-bottom:1px solid var(--line)}
input,button{font:inherit;color:inherit;background:var(--back);border:1px solid var(--line);border-radius:.4rem;padding:.35rem .7rem}
input{flex:1;min-width:5rem;max-width:30rem}button{cursor:pointer}button:hover{background:var(--panel)}
.op{border:1px solid var(--line);border-radius:.5rem;margin:.6rem 0}.op>summary{padding:.6rem .9rem;cursor:pointer}.op[open]>summary{border-bottom:1px solid var(--line)}
.op h3{display:inline-flex;flex-wrap:wrap;gap:.2rem .8rem;align-items:baseline;font-weight:400;width:calc(100% - 1.5rem)}.op h3 b{width:3.8rem;font-size:.85rem}
.cols{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,27rem);gap:0 2rem;padding:.2rem 1rem 1rem;scroll-margin-top:7rem}.cols>*{min-width:0}
.get{color:var(--get)}.post{color:var(--post)}.put{color:var(--put)}.patch{color:var(--patch)}.delete{color:var(--delete)}
.fields{list-style:none;margin:.3rem 0;padding:0}.fields>li{border-top:1px solid var(--line);padding:.45rem 0}.fields>li>code{font-weight:600}
.fields p{margin:.1rem 0}.fields .fields{border-left:2px solid var(--line);padding-left:.9rem;margin-left:.2rem}
.fields details>summary{cursor:pointer;color:var(--link);font-size:.87rem}
em{font-style:normal;color:var(--delete);font-size:.8rem}i{font-style:normal}i,.type{color:var(--muted);font-size:.87rem}
figure{margin:1rem 0;border:1px solid var(--line);border-radius:.5rem;overflow:hidden;background:var(--panel)}
figcaption{display:flex;justify-content:space-between;align-items:center;gap:1rem;padding:.3rem .75rem;min-height:2.4rem;border-bottom:1px solid var(--line);font-size:.87rem;color:var(--muted)}
figcaption button{padding:.1rem .6rem;font-size:.8rem}pre{margin:0;padding:.75rem;overflow:auto;max-height:30rem}
.problems{list-style:none;padding:0}.problems li{margin:.35rem 0}.plain{display:block;max-width:52rem;margin:0 auto}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.4rem 1.5rem}dt{color:var(--muted)}dd{margin:0}
.cols>div+div{position:sticky;top:4.5rem;align-self:start;max-height:calc(100vh - 5rem);overflow:auto}
@media(max-width:72rem){.cols{grid-template-columns:minmax(0,1fr)}.cols>div+div{position:static;max-height:none}}
@media(max-width:52rem){.shell{display:block}.side{position:static;height:auto;border:0;border-bottom:1px solid var(--line);padding:.7rem 1rem}.side summary{display:list-item;cursor:pointer;font-weight:600}main{padding:1.2rem 1rem 5rem}.op h3 b{width:auto}}
@media print{.side,.tools{display:none}.shell{display:block}}
`
