import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createSecureContext } from 'node:tls'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import { watchFolder } from './watch-folder.ts'

/** The files of a server's certificate chain, its key and the CA certificates of its clients, in PEM. */
export type CertificateFiles = { certFile: string; keyFile: string; clientCaFile?: string | undefined }

/** A certificate and its key, as read from the files. */
export type Certificates = {
  cert: string
  key: string
  /** The CA certificates for clients. */
  ca?: string
  /** SHA-256 of the server's own certificate, as openssl prints it. */
  fingerprint: string
  /** When it expires, Unix ms. */
  expiresAt: number
  /** Of the files' content. */
  digest: string
}

/**
 * Reads the files and verifies that the server can use them.
 * @throws Error with the file and its fault
 */
export async function readCertificates({ certFile, keyFile, clientCaFile }: CertificateFiles): Promise<Certificates> {
  const [cert, key, ca] = await Promise.all([
    readPem(certFile),
    readPem(keyFile),
    clientCaFile === undefined ? undefined : readPem(clientCaFile),
  ])
  const own = about(`${certFile} holds no certificate`, () => new X509Certificate(cert))
  const privateKey = about(`${keyFile} holds no private key without a passphrase`, () => createPrivateKey(key))
  if (!own.checkPrivateKey(privateKey)) throw new Error(`the key in ${keyFile} does not belong to the certificate in ${certFile}`)
  if (ca !== undefined) about(`${clientCaFile} holds no certificate`, () => new X509Certificate(ca))
  about(`${certFile} and ${keyFile} cannot be used for TLS`, () => createSecureContext({ cert, key, ...(ca !== undefined && { ca }) }))
  const digest = digestOf([cert, key, ca])
  return { cert, key, ...(ca !== undefined && { ca }), fingerprint: own.fingerprint256, expiresAt: own.validToDate.getTime(), digest }
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new Error(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`, { cause: error })
  }
}

function about<T>(problem: string, act: () => T): T {
  try {
    return act()
  } catch (error) {
    // OpenSSL's own message is for developers, so it is only the cause.
    throw new Error(problem, { cause: error })
  }
}

function digestOf(texts: (string | undefined)[]): string {
  return createHash('sha256').update(JSON.stringify(texts)).digest('hex')
}

/** Events get lost on network file systems and when the folder itself is replaced, so the files are also read periodically. */
const pollMs = 30_000
/** The pair is two files: between their writes, they do not match. */
const settleMs = 100

/**
 * Watches the files until `signal` aborts, and passes every new valid pair to `use`.
 * An invalid pair is logged once, and the old one stays in use.
 *
 * The folders are watched, not the files: Kubernetes replaces the symlink `..data` beside them, and other tools rename a new file over
 * the old one. A watch on the file itself would stay on the old inode.
 */
export async function watchCertificates(
  files: CertificateFiles,
  {
    current,
    signal,
    clock,
    log,
    use,
  }: { current: Certificates; signal: AbortSignal; clock: Clock; log: Log; use: (next: Certificates) => void },
): Promise<void> {
  let inUse = current.digest
  let refused = ''
  let changed = new AbortController()
  const folders = new Set(
    [files.certFile, files.keyFile, files.clientCaFile].filter((file) => file !== undefined).map((file) => dirname(file)),
  )
  const watchers = [...folders].map((folder) => watchFolder(folder, () => changed.abort(), log)).filter((watcher) => watcher !== undefined)
  try {
    while (!signal.aborted) {
      const woken = await clock.sleep(pollMs, AbortSignal.any([signal, changed.signal])).catch(() => changed.signal.aborted)
      if (signal.aborted) return
      if (woken) await clock.sleep(settleMs, signal)
      // A change from here on counts, even while the files are being read.
      changed = new AbortController()
      try {
        const next = await readCertificates(files)
        refused = ''
        if (next.digest === inUse) continue
        use(next)
        inUse = next.digest
        log.info({ fingerprint: next.fingerprint, expiresAt: new Date(next.expiresAt) }, 'certificate replaced')
      } catch (error) {
        const why = (error as Error).message
        if (why !== refused) log.error({ err: error, certFile: files.certFile }, 'new certificate is invalid, the old one stays in use')
        refused = why
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    for (const watcher of watchers) watcher.close()
  }
}
