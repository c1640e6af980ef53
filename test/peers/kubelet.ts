import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { builtFolder, freePort } from '../cluster/index.ts'
import { createCertificate, writeCertificate } from './certificates.ts'
import { startDockerd } from './dockerd.ts'
import { answers, type Peer, says, startPeer } from './peer.ts'

/** A kubelet of its own, without an API server, on a dockerd of its own: `/healthz` in the clear at `url`, and with TLS and authentication at `secureUrl`. */
export async function startKubelet(t: TestContext): Promise<Peer & { url: string; secureUrl: string; ca: string }> {
  const { socketPath } = await startDockerd(t)
  const [port, securePort] = (await Promise.all([freePort(), freePort()])) as [number, number]
  const url = `http://127.0.0.1:${port}`
  const certificate = await createCertificate()
  const peer = await startPeer(t, {
    name: 'kubelet',
    package: 'nothing: test/cluster/real/build.sh builds it',
    program: join(builtFolder(), 'kubelet'),
    port,
    async prepare(folder, _daemons, program) {
      const { ca, cert, key } = await writeCertificate(folder, certificate)
      const configuration = {
        apiVersion: 'kubelet.config.k8s.io/v1beta1',
        kind: 'KubeletConfiguration',
        address: '127.0.0.1',
        port: securePort,
        healthzBindAddress: '127.0.0.1',
        healthzPort: port,
        tlsCertFile: cert,
        tlsPrivateKeyFile: key,
        authentication: { anonymous: { enabled: false }, webhook: { enabled: false }, x509: { clientCAFile: ca } },
        authorization: { mode: 'AlwaysAllow' },
        cgroupDriver: 'cgroupfs',
        cgroupsPerQOS: false,
        enforceNodeAllocatable: [],
        failSwapOn: false,
        makeIPTablesUtilChains: false, // this machine's firewall is not the test's
        evictionHard: {},
      }
      await writeFile(join(folder, 'kubelet.json'), JSON.stringify(configuration))
      return [
        // What it mounts for pods goes with it.
        '/usr/bin/unshare',
        '--mount',
        '--propagation=private',
        program,
        `--config=${join(folder, 'kubelet.json')}`,
        `--root-dir=${join(folder, 'root')}`,
        `--cert-dir=${join(folder, 'pki')}`,
        '--container-runtime=docker',
        `--docker-endpoint=unix://${socketPath}`,
        '--network-plugin=',
        '--hostname-override=crane-1',
      ]
    },
    // Each port opens in its own time.
    ready: async () => {
      await answers(`${url}/healthz`)
      await says(securePort)
    },
  })
  return { ...peer, url, secureUrl: `https://127.0.0.1:${securePort}`, ca: certificate.ca }
}
