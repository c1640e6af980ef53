import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import { parseRevocationLists, type RevocationLists } from './revocation.ts'
import { watchFolder } from './watch-folder.ts'

/** The files of a server's certificate chain, its key, the CA certificates of its clients, and revocation lists of these CAs. */
export type CertificateFiles = {
  certFile: string
  keyFile: string
  clientCaFile?: string | undefined
  /** PEM or DER. Only together with `clientCaFile`. */
  clientCrlFile?: string | undefined
}

/** A certificate and its key, as read from the files. */
export type Certificates = {
  cert: string
  key: string
  /** The CA certificates for clients. */
  ca?: string
  /** The revocation lists of these CAs. */
  crl?: RevocationLists
  /** SHA-256 of the server's own certificate, as openssl prints it. */
  fingerprint: string
  /** When it expires, Unix ms. */
  expiresAt: number
  /** Of the files' content. */
  digest: string
  /** Of the CA certificates and the revocation lists. */
  trust: string
}

/**
 * Reads the files and verifies that the server can use them.
 * @throws Error with the file and its fault
 */
export async function readCertificates({ certFile, keyFile, clientCaFile, clientCrlFile }: CertificateFiles): Promise<Certificates> {
  const [cert, key, ca, lists] = await Promise.all([
    readPem(certFile),
    readPem(keyFile),
    clientCaFile === undefined ? undefined : readPem(clientCaFile),
    clientCrlFile === undefined ? undefined : readBytes(clientCrlFile),
  ])
  const own = about(`${certFile} holds no certificate`, () => new X509Certificate(cert))
  const privateKey = about(`${keyFile} holds no private key without a passphrase`, () => createPrivateKey(key))
  if (!own.checkPrivateKey(privateKey)) throw new Error(`the key in ${keyFile} does not belong to the certificate in ${certFile}`)
  if (ca !== undefined) about(`${clientCaFile} holds no certificate`, () => new X509Certificate(ca))
  about(`${certFile} and ${keyFile} cannot be used for TLS`, () => createSecureContext({ cert, key, ...(ca !== undefined && { ca }) }))
  const crl = lists && readLists(clientCrlFile ?? '', lists, ca ?? '')
  const trust = digestOf([ca, lists?.toString('latin1')])
  return {
    cert,
    key,
    ...(ca !== undefined && { ca }),
    ...(crl && { crl }),
    fingerprint: own.fingerprint256,
    expiresAt: own.validToDate.getTime(),
    digest: digestOf([cert, key, trust]),
    trust,
  }
}

/** The options of a TLS server with these certificates. */
export function secureOptionsOf({ cert, key, ca, crl }: Certificates): SecureContextOptions {
  return { cert, key, ...(ca !== undefined && { ca }), ...(crl && { crl: crl.pem }) }
}

function readLists(file: string, content: Buffer, ca: string): RevocationLists {
  let lists: RevocationLists
  try {
    lists = parseRevocationLists(content, ca)
  } catch (error) {
    throw new Error(`${file} ${(error as Error).message}`, { cause: error })
  }
  about(`${file} holds no certificate revocation list`, () => createSecureContext({ crl: lists.pem }))
  return lists
}

async function readPem(path: string): Promise<string> {
  return (await readBytes(path)).toString('utf8')
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
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
 * Watches the files until `signal` aborts, and passes every new valid pair to `use`, and the present one again when one
 * of its revocation lists expires: OpenSSL would let open connections and resumed sessions be.
 * An invalid pair is logged once, and the old one stays in use; `stale` learns after each reading whether that is so.
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
    stale,
  }: {
    current: Certificates
    signal: AbortSignal
    clock: Clock
    log: Log
    use: (next: Certificates, isTrustChanged: boolean) => void
    stale: (isStale: boolean) => void
  },
): Promise<void> {
  const lists = createListWatch(files, { clock, log, expired: () => use(latest, true) })
  let latest = current
  lists.look(latest)
  let refused = ''
  let changed = new AbortController()
  const folders = new Set(
    [files.certFile, files.keyFile, files.clientCaFile, files.clientCrlFile]
      .filter((file) => file !== undefined)
      .map((file) => dirname(file)),
  )
  const watchers = [...folders].map((folder) => watchFolder(folder, () => changed.abort(), log)).filter((watcher) => watcher !== undefined)
  try {
    while (!signal.aborted) {
      const woken = await clock
        .sleep(lists.msToExpiry(latest, pollMs), AbortSignal.any([signal, changed.signal]))
        .catch(() => changed.signal.aborted)
      if (signal.aborted) return
      lists.look(latest)
      if (woken) await clock.sleep(settleMs, signal)
      // A change from here on counts, even while the files are being read.
      changed = new AbortController()
      try {
        const next = await readCertificates(files)
        refused = ''
        if (next.digest === latest.digest) continue
        use(next, next.trust !== latest.trust)
        latest = next
        log.info({ fingerprint: next.fingerprint, expiresAt: new Date(next.expiresAt) }, 'certificate replaced')
      } catch (error) {
        const why = (error as Error).message
        if (why !== refused) log.error({ err: error, certFile: files.certFile }, 'new certificate is invalid, the old one stays in use')
        refused = why
      } finally {
        stale(refused !== '')
        lists.look(latest)
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    for (const watcher of watchers) watcher.close()
  }
}

type ListWatchNeeds = { clock: Clock; log: Log; expired: () => void }

/** Logs once which client certificates are refused, all of them, for want of a valid revocation list. Calls `expired` when a list does. */
function createListWatch({ clientCrlFile }: CertificateFiles, { clock, log, expired }: ListWatchNeeds) {
  let logged = ''
  let lookedAt = clock.now()
  return {
    /** How long until the next list expires, in milliseconds, at most `ms`. */
    msToExpiry({ crl }: Certificates, ms: number): number {
      const next = (crl?.expiries ?? []).filter((at) => at > lookedAt)
      return Math.max(0, Math.min(ms, ...next.map((at) => at - clock.now())))
    },
    look({ crl }: Certificates): void {
      if (crl === undefined) return
      const now = clock.now()
      const hasExpired = crl.expiresAt <= now
      const before = lookedAt
      lookedAt = now
      if (crl.expiries.some((at) => at > before && at <= now)) expired()
      const state = JSON.stringify([crl.expiresAt, hasExpired, crl.without])
      if (state === logged) return
      logged = state
      const fields = { clientCrlFile, ...(Number.isFinite(crl.expiresAt) && { expiresAt: new Date(crl.expiresAt) }) }
      if (hasExpired) log.error(fields, 'revocation list has expired, client certificates of its CA are refused: replace the file')
      if (crl.without.length > 0)
        log.error({ ...fields, authorities: crl.without }, 'CA without a revocation list, its client certificates are refused')
    },
  }
}
