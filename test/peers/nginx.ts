import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from '../cluster/index.ts'
import { type Signed, writeCertificate } from './certificates.ts'
import { answers, type Peer, says, startPeer } from './peer.ts'

/** nginx in one process, over TLS when it gets a certificate. `locations` are lines of its server block. */
export async function startNginx(
  t: TestContext,
  { tls, locations = ['location / { return 200 "ok\\n"; }'] }: { tls?: Signed; locations?: string[] } = {},
): Promise<Peer> {
  const port = await freePort()
  return startPeer(t, {
    name: 'nginx',
    package: 'nginx-light',
    program: '/usr/sbin/nginx',
    port,
    async prepare(folder, _daemons, program) {
      const secure = tls && (await writeCertificate(folder, tls))
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${join(folder, name)};`)
      await writeFile(
        join(folder, 'nginx.conf'),
        `user root; daemon off; master_process off; pid ${join(folder, 'nginx.pid')}; error_log stderr;
events {}
http {
  access_log off; ${temporary.join(' ')}
  server {
    listen 127.0.0.1:${port}${secure ? ' ssl' : ''};
    ${secure ? `ssl_certificate ${secure.cert}; ssl_certificate_key ${secure.key};` : ''}
    ${locations.join('\n    ')}
  }
}
`,
      )
      return [program, '-c', join(folder, 'nginx.conf'), '-p', folder]
    },
    ready: () => (tls ? says(port) : answers(`http://127.0.0.1:${port}/`)),
  })
}
