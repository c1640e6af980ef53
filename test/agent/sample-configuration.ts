import { readFileSync } from 'node:fs'

/** The `agent.yaml` that docs/running.md shows, as it stands there. */
export function sampleConfiguration(): string {
  const sample = /^```yaml\n# agent\.yaml\n([\s\S]*?)^```$/m.exec(readFileSync('docs/running.md', 'utf8'))?.[1]
  if (sample === undefined) throw new Error('docs/running.md shows no agent.yaml')
  return sample
}
