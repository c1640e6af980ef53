/**
 * The highest patch release of each minor release of CrateDB, every one of which started at 0. 6.5.0 is the newest.
 * Source: the index of the release notes in the documentation of crate/crate.
 */
const patches: Readonly<Record<string, number>> = {
  ...{ '4.0': 12, '4.1': 8, '4.2': 7, '4.3': 4, '4.4': 3, '4.5': 5, '4.6': 8, '4.7': 3, '4.8': 4 },
  ...{ '5.0': 3, '5.1': 4, '5.2': 11, '5.3': 9, '5.4': 8, '5.5': 5, '5.6': 5, '5.7': 6, '5.8': 8, '5.9': 13, '5.10': 16 },
  ...{ '6.0': 8, '6.1': 6, '6.2': 11, '6.3': 8, '6.4': 3, '6.5': 0 },
}

/** What containerd says of an image of CrateDB that is not on Docker Hub; undefined for any other image, and for those that are. */
export function missingImage(image: string): string | undefined {
  const [, minor = '', patch] = /^crate:(\d+\.\d+)\.(\d+)$/.exec(image) ?? []
  if (patch === undefined || Number(patch) <= (patches[minor] ?? -1)) return undefined
  const reference = `docker.io/library/${image}`
  return `rpc error: code = NotFound desc = failed to pull and unpack image "${reference}": failed to resolve reference "${reference}": ${reference}: not found`
}
