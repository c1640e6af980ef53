/**
 * The licences that a package in a bundle or an image may have, as SPDX ids. All are permissive but EPL-2.0, which asks that changes of its own
 * files are published: sparkplug-payload is used unchanged.
 */
const allowedLicences: readonly string[] = [
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'EPL-2.0',
  'ISC',
  'MIT',
  'PSF-2.0',
  'Unlicense',
]

/** Whether an SPDX expression is allowed: `(MIT OR GPL-3.0)` if one of both is; `MIT AND Zlib`, if both are. */
export function isAllowed(expression: string): boolean {
  const plain = expression.replaceAll(/^\(|\)$/g, '')
  if (plain.includes(' OR ')) return plain.split(' OR ').some(isAllowed)
  return plain.split(' AND ').every((id) => allowedLicences.includes(id))
}
