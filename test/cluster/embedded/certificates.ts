/** The certificate of a server on loopback, with the authority that signed it; all PEM. Good for a week. */
export type Certificates = { ca: string; cert: string; key: string }

export async function createCertificates(): Promise<Certificates> {
  const { generate } = await import('selfsigned')
  const notBeforeDate = new Date(Date.now() - 60_000)
  const dates = { notBeforeDate, notAfterDate: new Date(Date.now() + 7 * 24 * 3600_000) }
  const keys = { keyType: 'ec', algorithm: 'sha256', ...dates } as const
  const authority = await generate([{ name: 'commonName', value: 'embedded-cluster-ca' }], {
    ...keys,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, digitalSignature: true, critical: true },
    ],
  })
  const server = await generate([{ name: 'commonName', value: 'kube-apiserver' }], {
    ...keys,
    ca: { key: authority.private, cert: authority.cert },
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  })
  return { ca: authority.cert, cert: server.cert, key: server.private }
}
