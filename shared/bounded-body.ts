/**
 * Reads the body of an answer, or another stream, and no more of it than `maxBytes`: who sends it decides how much there is.
 * @param tooMany what is thrown when there is more; the rest is not read
 */
export async function boundedBytes(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes: number,
  tooMany: () => Error = () => new Error(`the answer has more than ${maxBytes / 1024} KiB`),
): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.byteLength
    // Leaving the loop ends the body, which closes the connection.
    if (bytes > maxBytes) throw tooMany()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The same as UTF-8. @throws Error when there is more */
export async function boundedText(body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, maxBytes: number): Promise<string> {
  return (await boundedBytes(body, maxBytes)).toString('utf8')
}
