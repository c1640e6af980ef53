import { tagOf } from '../../shared/kubernetes/image.ts'

/** A release as its numbers, such as `[5, 10, 1]`. */
export function releaseOf(version: string): number[] {
  return version.split('.').map(Number)
}

/** Negative if the first release is older than the second, positive if it is newer, 0 if they are the same. */
export function compareReleases(some: number[], others: number[]): number {
  return some.map((part, index) => part - (others[index] ?? 0)).find((difference) => difference !== 0) ?? 0
}

/** The Crate Operator that runs, as far as the agent can tell. */
export type OperatorRelease = {
  /** Three numbers; undefined if neither the configuration nor the image says it. */
  version: string | undefined
  /** Its image; undefined if there is no Deployment. */
  image: string | undefined
}

/**
 * The release of the operator by its image's tag. A digest, and a tag such as `latest`, tell nothing.
 * @param stated the release from the configuration, which takes precedence
 */
export function operatorRelease(image: string | undefined, stated: string | undefined): OperatorRelease {
  return { version: stated ?? /^v?(\d+\.\d+\.\d+)(?![\w.])/.exec(tagOf(image) ?? '')?.[1], image }
}
