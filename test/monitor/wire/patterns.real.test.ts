import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { askGo } from '../../peers/go-regexp.ts'
import { assertSame, chosenQuestions, isExempt, randomQuestions } from './pattern-pairs.ts'

test("10,000 random patterns mean on random texts what they mean to Go's regexp", async (t) => {
  // The same questions each time, so that a run says what the one before said; `PATTERN_SEED=n` has others.
  const seed = Number(process.env.PATTERN_SEED ?? 3)
  t.diagnostic(`PATTERN_SEED=${seed}`)
  const questions = randomQuestions(14_000, seed).filter((question) => !isExempt(question))
  const { answers, version } = askGo(questions)
  const count = (name: 'groups' | 'error') => answers.filter((answer) => answer[name] !== undefined).length
  t.diagnostic(`${questions.length} pairs, ${count('groups')} match, ${count('error')} are refused; ${version}`)
  assert.ok(questions.length >= 10_000 && count('groups') > 3000 && count('error') > 1000)
  for (const [index, question] of questions.entries()) await assertSame(question, answers[index] ?? {})
})

test("the recorded answers are those of Go's regexp", () => {
  const questions = [...chosenQuestions, ...randomQuestions(400, 1)].filter(
    (question) => question.text.length < 2000 && !isExempt(question),
  )
  const { answers, version } = askGo(questions)
  const pairs = questions.map(({ text, ...asked }, index) => JSON.stringify([{ ...asked, text: text.toString('base64') }, answers[index]]))
  const recorded = `{ "source": "Go's regexp, test/peers/regexp.go, ${version}", "pairs": [\n${pairs.join(',\n')}\n] }\n`
  const file = path.join(import.meta.dirname, 'patterns.golden.json')
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, recorded)
  const tail = (text: string) => text.slice(text.indexOf('\n')) // another version of Go must give the same answers
  assert.equal(
    tail(readFileSync(file, 'utf8')),
    tail(recorded),
    'rewrite with: UPDATE_GOLDEN=1 node --test test/monitor/wire/patterns.real.test.ts',
  )
})
