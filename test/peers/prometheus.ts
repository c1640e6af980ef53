import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from '../cluster/index.ts'
import { answers, type Peer, startPeer } from './peer.ts'

/**
 * Prometheus that scrapes itself and these ports, four times a second. `users` are those of its web configuration, with their bcrypt hashes;
 * `jobs` are further scrape configurations, `ruleFiles` paths of rules, which are evaluated twice a second.
 */
export async function startPrometheus(
  t: TestContext,
  {
    scrape = [],
    users,
    jobs = [],
    ruleFiles = [],
  }: { scrape?: number[]; users?: Record<string, string>; jobs?: object[]; ruleFiles?: string[] } = {},
): Promise<Peer & { url: string }> {
  const port = await freePort()
  const peer = await startPeer(t, {
    name: 'prometheus',
    package: 'prometheus',
    program: '/usr/bin/prometheus',
    port,
    async prepare(folder, _daemons, program) {
      const targets = [port, ...scrape].map((each) => `'127.0.0.1:${each}'`)
      const access = users ? '      basic_auth: { username: reader, password: unused }\n' : ''
      await writeFile(
        join(folder, 'prometheus.yml'),
        `global: { scrape_interval: 250ms, scrape_timeout: 200ms, evaluation_interval: 500ms }\nrule_files: ${JSON.stringify(ruleFiles)}\nscrape_configs:\n  - job_name: harbour\n${access.replace(/^ {2}/, '')}    static_configs: [{ targets: [${targets.join(', ')}] }]\n${jobs.map((job) => `  - ${JSON.stringify(job)}\n`).join('')}`,
      )
      await writeFile(
        join(folder, 'web.yml'),
        users
          ? `basic_auth_users:\n${Object.entries(users)
              .map(([name, hash]) => `  ${name}: ${hash}\n`)
              .join('')}`
          : '',
      )
      return [
        program,
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--web.config.file=${join(folder, 'web.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=warn',
      ]
    },
    ready: () => answers(`http://127.0.0.1:${port}/-/ready`, users ? 401 : 200),
  })
  return { ...peer, url: `http://127.0.0.1:${port}` }
}
