import assert from 'node:assert/strict'
import { test } from 'node:test'
import { importTable, type ShownImport } from '../../../agent/cli/import-table.ts'
import { importPlan, shownPlan } from '../../../agent/region-file/import/plan.ts'
import { regionContent } from '../region-file/region-sample.ts'

const made = { region: 'harbour-1', createdAt: '2026-01-31T12:00:00.000Z', ledger: 117 }
const file = { ...made, digest: 'a'.repeat(64), origin: 'Not signed.', leftOut: [] as { what: string; why: string }[] }
const plan: ShownImport = {
  ...{ file, refusals: [], projects: [], deletions: 0, more: { projects: 0, databases: 0 } },
  counts: { ready: 0, 'volumes-found': 0, unchanged: 0, refused: 1 },
  databases: [
    {
      ...{ project: 'harbour', database: 'tide', verdict: 'refused', volumes: 1, notes: [] },
      obstacles: [{ code: 'host-unknown', message: 'no node can use it; say which host it is here, as in hosts=edge-1=NAME' }],
    },
  ],
}

test('what a caller of the API would set is told as the option of the command', () => {
  const refusals: ShownImport['refusals'] = [
    { code: 'other-region', message: 'It is of pier-2: say adoptRegion=true.' },
    { code: 'older-file', message: 'It is older: say olderFile=true.' },
  ]
  const lines = importTable({ ...plan, refusals }).split('\n')
  assert.ok(lines.includes('Refused: It is of pier-2: say --adopt-region.'))
  assert.ok(lines.includes('Refused: It is older: say --older-file.'))
  assert.ok(lines.includes('  no node can use it; say which host it is here, as in --host edge-1=NAME'))
})

test('the page that says what to do is named if there is something to do', () => {
  assert.match(importTable(plan), /What to do about each reason: docs\/recovery\.md/)
  assert.doesNotMatch(importTable({ ...plan, counts: { ...plan.counts, refused: 0 }, databases: [] }), /What to do/)
})

test('the plan says what of the region the file has not', () => {
  const leftOut = [{ what: 'project pier', why: '/quota must be an object' }]
  const facts = { id: 'harbour-1', cluster: 'another', sequence: 0, lastImport: undefined, project: () => undefined }
  const given = { document: { ...regionContent(), leftOut }, digest: 'a'.repeat(64), origin: { by: 'digest' as const } }
  const options = { oldClusterIsGone: true, adoptRegion: false, olderFile: false }
  const shown = shownPlan(given, importPlan(given, facts, [], options))
  assert.deepEqual(shown.file.leftOut, leftOut)
  assert.match(importTable(shown), /^Not in the file: project pier: \/quota must be an object$/m)
  assert.doesNotMatch(importTable(plan), /Not in the file/)
})

test('nothing in a file gets at the terminal that shows its plan', () => {
  const table = importTable({ ...plan, file: { ...file, leftOut: [{ what: 'project \u001b[2J', why: 'a\rb\u0007' }] } })
  assert.match(table, /^Not in the file: project {2}\[2J: a b $/m)
  assert.doesNotMatch(table.replaceAll('\n', ''), /\p{Cc}/u)
})
