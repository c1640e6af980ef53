import { generate } from 'selfsigned'

/** A serving certificate, its private key, and the CA certificate that signed it, each as PEM. */
export type ServingCertificate = { ca: string; cert: string; key: string }

/** From when until when a certificate is valid, in Unix milliseconds, and the name of its CA. */
type Given = { from?: number; until?: number; authority?: string }

/**
 * A certificate for a server on loopback and on the given addresses, and signed by its own CA. Both are valid from yesterday on, so that
 * programs whose clock is hours behind can be tested, for a week from now; or as given.
 */
export async function createServingCertificate(
  commonName = 'kube-apiserver',
  addresses: string[] = [],
  {
    from = Date.now() - 86_400_000,
    until = Math.max(from, Date.now()) + 7 * 24 * 3600_000,
    authority: authorityName = 'skerry test authority',
  }: Given = {},
): Promise<ServingCertificate> {
  const notBeforeDate = new Date(from)
  const notAfterDate = new Date(until)
  const common = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256', notBeforeDate, notAfterDate } as const
  const authority = await generate([{ name: 'commonName', value: authorityName }], {
    ...common,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  const server = await generate([{ name: 'commonName', value: commonName }], {
    ...common,
    ca: { key: authority.private, cert: authority.cert },
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          ...['127.0.0.1', ...addresses].map((ip) => ({ type: 7 as const, ip })),
          { type: 2, value: 'localhost' },
          { type: 2, value: 'kubernetes.default.svc' },
        ],
      },
    ],
  })
  return { ca: authority.cert, cert: server.cert, key: server.private }
}
