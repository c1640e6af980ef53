/** The options of the command, by the parameters of the API that they set. */
const options: readonly (readonly [parameter: RegExp, option: string])[] = [
  [/\boldClusterIsGone=true\b/g, '--old-cluster-is-gone'],
  [/\badoptRegion=true\b/g, '--adopt-region'],
  [/\bolderFile=true\b/g, '--older-file'],
  [/\bhosts=(?=[^\s=]+=)/g, '--host '],
]

/** A sentence about an import with the options of the command in the place of the parameters of the API. Pure. */
export function inOwnWords(sentence: string): string {
  return options.reduce((text, [parameter, option]) => text.replace(parameter, option), sentence)
}
