import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import axe from 'axe-core'
import { type BrowserPage, startChromium, type View } from '../../peers/chromium.ts'
import { listen } from '../checks/servers.ts'
import { startEndpoint } from '../metrics/endpoint-in-hand.ts'
import { manyChecks, ranStatus } from './in-hand.ts'

const views = {
  wide: { width: 1360, height: 900 },
  narrow: { width: 400, height: 860 },
  dark: { width: 1360, height: 900, scheme: 'dark' },
  'narrow and dark': { width: 400, height: 860, scheme: 'dark' },
} satisfies Record<string, View>

/** The endpoint with that many checks, and some probes. */
async function monitor(t: TestContext, checks: number) {
  const allow = [{ hosts: ['localhost'], addresses: ['127.0.0.0/8'], ports: ['1-65535'] }]
  const { url, prober } = await startEndpoint(
    t,
    { probe: { allow } },
    { facts: () => ({ region: 'harbour-1', mqtt: 'mqtts://broker:8883' }) },
  )
  prober.statuses = manyChecks(checks)
  for (const port of [1, new URL(url).port]) await (await fetch(`${url}/probe?target=127.0.0.1:${port}/healthz`)).text()
  return { url, prober }
}

/** Writes a picture of the page into the folder that PICTURES names, to be looked at. */
async function keep(page: BrowserPage, name: string): Promise<void> {
  if (!process.env.PICTURES) return
  await mkdir(process.env.PICTURES, { recursive: true })
  await writeFile(`${process.env.PICTURES}/${name.replaceAll(' ', '-')}.png`, await page.screenshot())
}

/** How many pixels the page is wider than the window, and what sticks out. */
const overflow = `[...document.querySelectorAll('body *')].filter((each) => each.getBoundingClientRect().right > innerWidth + 0.5 &&
  !each.closest('pre, .skip, thead') ).map((each) => each.outerHTML.slice(0, 120)).slice(0, 5).concat(
  document.documentElement.scrollWidth > innerWidth ? ['scrolls: ' + document.documentElement.scrollWidth] : [])`

/** Ends that the page follows the monitor by itself, which on a busy machine would change it in the middle of a look. */
const holdStill = '(() => { for (let id = setInterval(() => {}); id > 0; id--) clearInterval(id) })()'

const paths = { checks: '/', check: '/check?name=site+0%2Fdns%2F3', probes: '/probes' }

test('a thousand checks fit the window, are all there, and nothing complains', async (t) => {
  const { url } = await monitor(t, 1000)
  const { open } = await startChromium(t)
  for (const [name, view] of Object.entries(views)) {
    const page = await open(url, view)
    await page.evaluate(holdStill)
    assert.equal(await page.evaluate('document.querySelectorAll(".checks tbody tr").length'), 1000)
    assert.deepEqual(await page.evaluate(overflow), [], name)
    assert.deepEqual(page.complaints, [], name)
    assert.ok(
      page.requests.every((each) => each.startsWith(url)),
      page.requests.join(' '),
    )
    const hidden = '[...document.querySelectorAll(".checks tbody tr")].filter((row) => row.getBoundingClientRect().height < 20).length'
    assert.equal(await page.evaluate(hidden), 0)
    await keep(page, `checks ${name}`)
  }
})

test('the page needs no script', async (t) => {
  const { url } = await monitor(t, 50)
  const { open } = await startChromium(t)
  const page = await open(`${url}/?q=redis`, { ...views.wide, isScripted: false })
  assert.equal(await page.evaluate('document.querySelectorAll(".checks tbody tr").length'), 10)
  assert.equal(await page.evaluate('getComputedStyle(document.querySelector(".scripted")).display'), 'none')
  assert.deepEqual(page.complaints, [])
})

test('axe finds no fault in contrast, labels, names or structure', async (t) => {
  const { url } = await monitor(t, 60)
  const { open } = await startChromium(t)
  for (const [path, address] of Object.entries(paths))
    for (const [name, view] of Object.entries(views)) {
      const page = await open(url + address, view)
      await page.evaluate(holdStill)
      await keep(page, `${path} ${name}`)
      await page.evaluate(`${axe.source};0`)
      const found = await page.evaluate<{ id: string; nodes: string[] }[]>(
        `axe.run(document).then(({ violations }) => violations.map(({ id, nodes }) => ({ id, nodes: nodes.slice(0, 3).map((node) => node.html + ' ' + node.failureSummary) })))`,
      )
      assert.deepEqual(found, [], `${path} ${name}`)
      assert.deepEqual(await page.evaluate(overflow), [], `${path} ${name}`)
      assert.deepEqual(page.complaints, [])
    }
})

test('the keyboard reaches every link and field, and shows where it is', async (t) => {
  const { url } = await monitor(t, 5)
  const { open } = await startChromium(t)
  const page = await open(url, views.wide)
  const seen: string[] = []
  const where =
    '(() => { const at = document.activeElement; return [at.tagName, at.name || at.id || at.textContent.trim(), getComputedStyle(at).outlineStyle] })()'
  for (let count = 0; count < 40; count++) {
    await page.press('Tab')
    const [tag, name, outline] = await page.evaluate<[string, string, string]>(where)
    // Behind the last one, the focus leaves the page.
    if (tag === 'BODY' || name === seen[0]) break
    seen.push(name)
    assert.notEqual(outline, 'none', name)
  }
  for (const wanted of ['Skip to the content', 'Probes', 'q', 'state', 'Filter', 'follow', '1 Down', 'site 0/dns/3', '127.0.0.1:1/healthz'])
    assert.ok(seen.includes(wanted), `${wanted}: ${seen.join(' | ')}`)
})

test('while somebody types, the rows that do not match are hidden; and the page follows the monitor', async (t) => {
  const { url, prober } = await monitor(t, 100)
  const { open } = await startChromium(t)
  const page = await open(url, views.wide)
  await page.evaluate(holdStill)
  const visible = '[...document.querySelectorAll(".checks tbody tr")].filter((row) => !row.hidden).length'
  const type = (text: string) =>
    page.evaluate(
      `(() => { const find = document.querySelector('[name=q]'); find.value = ${JSON.stringify(text)}; find.dispatchEvent(new Event('input')) })()`,
    )
  await type('redis')
  assert.equal(await page.evaluate(visible), 20)
  assert.equal(await page.evaluate('document.getElementById("found").textContent'), '20 of 100 rows')
  prober.statuses = manyChecks(105)
  await page.evaluate('document.querySelector(".checks a").focus()')
  await page.evaluate('refresh()')
  assert.equal(await page.evaluate('document.querySelectorAll(".checks tbody tr").length'), 105)
  assert.equal(await page.evaluate(visible), 21, 'the filter stays')
  await type('')
  assert.equal(await page.evaluate(visible), 105)
  prober.statuses = [ranStatus({ name: 'off' }, { states: ['down'], reason: 'timeout' })]
  await page.evaluate('refresh()')
  assert.equal(await page.evaluate('document.title'), '1 down · Skerry monitor')
  assert.deepEqual(page.complaints, [])
})

test('markup of checks, servers and queries never becomes an element, nor runs', async (t) => {
  const markup = '<img src=x onerror="window.ran=1"><script>window.ran=1</script><a href="javascript:window.ran=1">'
  const port = await listen(t, (socket) => socket.end(`HTTP/1.1 500 ${markup}\r\nServer: ${markup}\r\nContent-Length: 0\r\n\r\n`))
  const { url, prober } = await monitor(t, 0)
  prober.statuses = [
    ranStatus(
      { name: markup, target: markup, labels: { a: markup }, options: { url: markup } },
      { states: ['down'], reason: 'error', detail: markup },
    ),
  ]
  await (await fetch(`${url}/probe?target=${encodeURIComponent(`http://127.0.0.1:${port}/${markup}`)}`)).text()
  const { open } = await startChromium(t)
  const asked = encodeURIComponent(markup)
  for (const path of ['/', `/?q=${asked}`, `/check?name=${asked}`, `/check?name=x${asked}`, '/probes', '/logs?id=3', '/config']) {
    const page = await open(url + path, views.wide)
    await page.evaluate('typeof refresh === "function" ? refresh() : 0')
    assert.equal(await page.evaluate('window.ran'), undefined, path)
    assert.equal(await page.evaluate('document.querySelectorAll("img, script:not([src]), a[href^=javascript]").length'), 0, path)
    // The browser itself notes an answer with 404.
    const complaints = page.complaints.filter((each) => !/status of 404/.test(each))
    assert.deepEqual(complaints, [], path)
  }
  const name = await (await open(url, views.wide)).evaluate<string>('document.querySelector(".c-name a").textContent')
  assert.equal(name, markup)
})
