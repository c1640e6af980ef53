/**
 * Characters that nobody sees, and that hide, or turn round, what stands beside them: the controls of terminals and of writing direction,
 * joiners, fillers, tags, and the blank of Braille. The selectors of an emoji's looks (U+FE0E, U+FE0F) are harmless and common.
 */
const invisible = /(?![\ufe0e\ufe0f])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu

/** Foreign text with its invisible characters in writing: `‹U+202E›`. They would make a detail, a label or a line of a log say something else. */
export function visible(text: string): string {
  return text.replace(invisible, (found) => `‹U+${(found.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')}›`)
}
