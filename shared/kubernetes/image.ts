/** The tag of an image; undefined without one, as with a digest alone. */
export function tagOf(image: string | undefined): string | undefined {
  return /:([^:/@]+)$/.exec(image?.replace(/@.*$/, '') ?? '')?.[1]
}
