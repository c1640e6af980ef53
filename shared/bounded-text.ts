/**
 * Reads the body of an answer as UTF-8, and no more of it than `maxBytes`: who answers decides how much there is.
 * @throws Error when there is more; the rest is not read
 */
export async function boundedText(body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.byteLength
    // Leaving the loop ends the body, which closes the connection.
    if (bytes > maxBytes) throw new Error(`the answer has more than ${maxBytes / 1024} KiB`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
