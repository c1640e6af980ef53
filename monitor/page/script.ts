/**
 * What the pages do in a browser beyond links and forms: they follow the monitor, and filter while somebody types. Everything works without
 * it. A text, not a function: it is not run here, and must be the same however the monitor is bundled.
 */
export const script = `'use strict'
const everyMs = 15000
const follow = document.getElementById('follow')
const find = document.querySelector('.filter input[type=search]')
for (const each of document.querySelectorAll('.scripted')) each.hidden = false

// The server has filtered by the text that is in the address: only a longer one can be looked for among the rows that are here.
const asked = find ? find.value.trim().toLowerCase() : ''
function filter() {
  const wanted = find.value.trim().toLowerCase()
  if (!wanted.includes(asked)) return
  let shown = 0
  const rows = document.querySelectorAll('.checks tbody tr')
  for (const row of rows) {
    row.hidden = wanted !== '' && !row.textContent.toLowerCase().includes(wanted)
    if (!row.hidden) shown++
  }
  const said = document.getElementById('found')
  if (said) said.textContent = wanted === asked ? '' : shown + ' of ' + rows.length + ' rows'
}
if (find) find.addEventListener('input', filter)

async function refresh() {
  if (document.hidden || (follow && !follow.checked) || !getSelection().isCollapsed) return
  const live = document.getElementById('live')
  if (!live) return
  try {
    const answer = await fetch(location.href, { cache: 'no-store' })
    if (!answer.ok) throw new Error(String(answer.status))
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
    const next = page.getElementById('live')
    if (!next) return
    const focused = live.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null
    live.replaceWith(next)
    document.title = page.title
    if (focused) for (const link of next.querySelectorAll('a')) if (link.getAttribute('href') === focused) { link.focus({ preventScroll: true }); break }
    if (find) filter()
    document.body.classList.remove('lost')
  } catch {
    document.body.classList.add('lost')
  }
}
if (document.getElementById('live')) setInterval(refresh, everyMs)
`
