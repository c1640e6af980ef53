import fc from 'fast-check'

/** Properties are held against the same examples each time, so that a run says what the one before said; `SKERRY_SEED=n` has others. */
fc.configureGlobal({ seed: Number(process.env.SKERRY_SEED ?? 1) })

/** One of all the characters that there are, half surrogates left out. */
const character = fc
  .oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 0x7f }) },
    fc.integer({ min: 0x80, max: 0xd7ff }),
    fc.integer({ min: 0xe000, max: 0x10ffff }),
  )
  .map((codePoint) => String.fromCodePoint(codePoint))

/**
 * Text of any characters at all. fast-check's own of that kind (`unit: 'binary'`) first makes a table of a million characters, which takes
 * a second in each process.
 *
 * @param limits of the length, in characters
 */
export function anyText(limits: { minLength?: number; maxLength?: number } = {}): fc.Arbitrary<string> {
  return fc.string({ unit: character, ...limits })
}

export { fc }
