import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Pattern } from '../../../monitor/wire/patterns.ts'
import { PatternError } from '../../../monitor/wire/regexp/program.ts'
import type { GoAnswer, Question } from '../../peers/go-regexp.ts'

const atoms = [
  ...['a', 'b', 'c', 'k', 'K', 's', '.', '"', ' ', 'é', 'α', 'ſ', '\u212a', '😀', '\\.', '\\n', '\\t', '\\a', '\\07', '\\x41', '\\x{3b1}'],
  ...['\\x{FFFD}', '\\d', '\\D', '\\w', '\\W', '\\s', '\\S', '\\pL', '\\PL', '\\pN', '\\p{Greek}', '\\p{^Greek}', '\\Qa.b\\E', '\\Q+'],
  ...['[ab]', '[^a]', '[a-c]', '[a-]', '[]a]', '[^]a]', '[^\\n]', '[\\d\\-x]', '[\\pL]', '[^\\pL\\d]', '[[:space:]]', '[[:alpha:]x]'],
  ...[
    '[^[:digit:]]',
    '[[:^word:]]',
    '[k]',
    '[^s]',
    '^',
    '$',
    '\\A',
    '\\z',
    '\\b',
    '\\B',
    '(?i)',
    '(?s)',
    '(?m)',
    '(?U)',
    '(?-i)',
    '(?i:k)',
  ],
  ...['(?s:.)', '(?i)s', '(?m:^)', '(?m:$)', '(?:)', '()', '|'],
]

const refused = [
  ...[
    '\\C',
    '\\Z',
    '\\1',
    '\\8',
    '(?=a)',
    '(?!a)',
    '(?<=a)',
    '(?<!a)',
    '(?>a)',
    '(?#a)',
    '\\pX',
    '\\p{Foo}',
    '[b-a]',
    '[[:foo:]]',
    '[z-\\d]',
    '(?z)',
  ],
  ...['\\x{110000}', '\\x', '*', ')', '(', '[', '\\', '(?P<m', '(?P<-m>a)', 'a{1001}', 'a{2,1}', 'a**', '(?i', 'a++'],
]

const repetitions = ['*', '+', '?', '*?', '+?', '??', '{2}', '{1,3}', '{0}', '{2,}', '{1,2}?', '{,2}']

const { pattern } = fc.letrec<{ pattern: string }>((tie) => {
  const smaller = tie('pattern')
  return {
    pattern: fc.oneof(
      { maxDepth: 4, depthSize: 'large' },
      { arbitrary: fc.constantFrom(...atoms), weight: 60 },
      { arbitrary: fc.constantFrom(...refused), weight: 3 },
      { arbitrary: fc.tuple(smaller, smaller).map((both) => both.join('')), weight: 48 },
      { arbitrary: fc.tuple(smaller, smaller).map((both) => both.join('|')), weight: 24 },
      { arbitrary: fc.tuple(smaller, fc.constantFrom(...repetitions)).map((both) => both.join('')), weight: 36 },
      {
        arbitrary: fc.tuple(fc.constantFrom('(', '(', '(?:', '(?P<n>', '(?i:', '(?U:'), smaller).map(([open, inner]) => `${open}${inner})`),
        weight: 36,
      },
    ),
  }
})

const pieces = [
  ...[
    'a',
    'b',
    'c',
    'x',
    '1',
    ' ',
    '\n',
    'K',
    'k',
    'S',
    's',
    'ſ',
    '\u212a',
    'α',
    'é',
    'A',
    '.',
    'a.b',
    '"',
    '_',
    '-',
    '\t',
    '+',
    '😀',
    '\u{FFFD}',
  ],
  // Not UTF-8: a lone byte, a truncated rune, a surrogate, a rune above U+10FFFF, an overlong form.
  ...[[0xff], [0xc3], [0xe2, 0x84], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xc0, 0x80]].map((bytes) => Buffer.from(bytes)),
]

const text = fc
  .array(fc.constantFrom(...pieces), { maxLength: 12, size: 'max' })
  .map((parts) => Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part))))

/** Some are long enough for an automaton to keep many states. */
const texts = fc.oneof(
  { arbitrary: text, weight: 50 },
  fc.tuple(text, fc.integer({ min: 2, max: 400 })).map(([part, times]) => Buffer.concat(Array(times).fill(part))),
)

const template = fc.constantFrom('', '', '$0', `[$1|\${1}|$1x|\${1}x]`, `$n \${n} $nn $$ $ \${ \${} $-`, `\${n`, '$9 é$1é')

/** Random patterns, valid or not, with texts that they often match. */
export function randomQuestions(count: number, seed: number): Question[] {
  return fc.sample(fc.record({ pattern, text: texts, template }), { numRuns: count, seed })
}

/** Asserts that ours is Go's answer. @throws AssertionError that shows the pair */
export async function assertSame({ pattern: source, text: body, template: expandable = '' }: Question, go: GoAnswer): Promise<void> {
  const shown = `${JSON.stringify(source)} in ${JSON.stringify(body.toString('latin1'))}`
  const signal = new AbortController().signal
  let ours: GoAnswer
  try {
    const compiled = new Pattern(source)
    const match = await compiled.match(body, signal)
    assert.equal(await compiled.test(body, signal), match !== undefined, shown)
    ours =
      match === undefined
        ? {}
        : { groups: [...match.positions], ...(expandable !== '' && { expanded: match.expand(expandable).toString('base64') }) }
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    ours = { error: error.message }
  }
  assert.deepEqual(ours, go, shown)
}

const q = (pattern: string, text: string | Buffer, template?: string): Question => ({
  pattern,
  text: typeof text === 'string' ? Buffer.from(text) : text,
  ...(template !== undefined && { template }),
})

/** What differs between RE2 and JavaScript, and what people write. */
export const chosenQuestions: readonly Question[] = [
  q('[[:space:]]', ' '),
  q('[[:space:]]', ':]'),
  q('\\pL+', 'éa1'),
  q('\\pL', 'pL'),
  q('\\Astatus', 'xstatus'),
  q('ok\\z', 'ok\n'),
  q('ok$', 'ok\n'),
  q('(?m)ok$', 'ok\nno'),
  q('\\Qa.b\\E', 'axb a.b'),
  q('\\Q[', '['),
  q('(?P<state>up|down)', 'it is down', `now $state, \${state}s`),
  q('(?i)green', 'GREEN'),
  q('(?i)ſ', 'S'),
  q('(?i:k)x', '\u212ax'),
  q('(?s)a.b', 'a\nb'),
  q('a.b', 'a\nb'),
  q('(?U)a+', 'aaa'),
  q('(?U)a+?', 'aaa'),
  q('a|ab|abc', 'abc'),
  q('(a|ab)(c|bcd)(d*)', 'abcd', '$1-$2-$3'),
  q('(a*)*', 'aab'),
  q('(a*)+', 'b'),
  q('(|a)+', 'aaa'),
  q('(?:(a)|b)*', 'ab', '[$1]'),
  q('\\bword\\b', 'a word.'),
  q('\\bé', 'aé'),
  q('\\Be', 'wet'),
  q('^.$', Buffer.from([0xff])),
  q('^..$', Buffer.from([0xe2, 0x84])),
  q('\\x{FFFD}', Buffer.from([0xc0])),
  q('^\\x{FFFD}{3}$', Buffer.from([0xed, 0xa0, 0x80])),
  q('^.$', '😀'),
  q('[^a]', '😀'),
  q('\\x{1F600}', '😀'),
  q('^SSH-2.0-(.+)', 'SSH-2.0-OpenSSH_9.2', 'hello $1'),
  q('^220 ([^ ]+)', '220 mail.example.com ESMTP', `EHLO \${1}`),
  q('"status": *"(ok|green)"', '{"status":  "green"}'),
  q('a{2}{3}', 'aaaaaa'),
  q('a{,3}', 'a{,3}'),
  q('a{1000}', 'a'.repeat(1000)),
  q('((a{100}){100}){100}', 'a'),
  q('(a{10}){101}', 'a'),
  q('(?=a)b', 'b'),
  q('(?!a)b', 'b'),
  q('(?<=a)b', 'ab'),
  q('(?<!a)b', 'ab'),
  q('(a)\\1', 'aa'),
  q('(?P=n)', 'n'),
  q('\\k<n>', 'n'),
  q('\\cA', 'a'),
  q('\\u0041', 'A'),
  q('a\\/b', 'a/b'),
  q('[\\b]', 'b'),
  q('a++', 'aa'),
  q('(?>a)', 'a'),
  q('(', ''),
  q('a)', ''),
  q('[a', ''),
  q('[]', ''),
  q('*a', ''),
  q('a\\', ''),
  q('\\pX', ''),
  q('[[:foo:]]', ''),
  q('[9-0]', ''),
  q('x{1001}', ''),
]

/**
 * Whether Debian's Go differs from RE2 here, or may. It lets two groups have one name, and until 1.23 it takes `K` and `(?i:K)` at the begin of
 * alternatives for the same (golang/go#59007).
 */
export function isExempt({ pattern: source }: Question): boolean {
  return source.split('(?P<n>').length > 2 || (source.includes('|') && /\(\?-?i/.test(source.replace(/^\(\?i\)/, '')))
}
