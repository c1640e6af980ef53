import type { TestContext } from 'node:test'
import { kubectl } from '../cluster/index.ts'
import type { RealNode } from './node.ts'

/** Tests of which each builds upon those before it. */
export type Story = {
  /** Runs it as a test of its own; not if an earlier one has failed, after which it would tell nothing. */
  step(name: string, does: (t: TestContext) => Promise<void>): Promise<void>
}

type ShownNode = Pick<RealNode, 'cluster' | 'http' | 'logTails'>

/** @param node whose pods are described when a step fails */
export function createStory(t: TestContext, node: ShownNode, namespaces: string[]): Story {
  let failed: string | undefined
  return {
    async step(name, does) {
      await t.test(name, async (step) => {
        if (failed !== undefined) throw new Error(`not run: "${failed}" has failed`)
        try {
          await does(step)
        } catch (error) {
          failed = name
          process.stdout.write(`${await describePods(node, namespaces).catch(String)}\n`)
          throw error
        }
      })
    },
  }
}

/** What an operator would look at first, of each pod. */
async function describePods(node: ShownNode, namespaces: string[]): Promise<string> {
  const kubeconfig = node.cluster.kubeconfig()
  const parts = [`== daemons\n${node.logTails()}`]
  const show = async (...args: string[]) => {
    const { stdout, stderr } = await kubectl(kubeconfig, ...args)
    parts.push(`== kubectl ${args.join(' ')}\n${stdout.slice(-8000)}${stderr}`)
    return stdout
  }
  await show('get', 'pods', '--all-namespaces', '--output=wide')
  await show('get', 'cratedbs', '--all-namespaces', '--output=yaml')
  for (const namespace of namespaces) {
    await show('--namespace', namespace, 'get', 'events', '--sort-by=.lastTimestamp')
    const { body } = await node.http.get(`/api/v1/namespaces/${namespace}/pods`)
    for (const { metadata } of body?.items ?? []) {
      await show('--namespace', namespace, 'describe', 'pod', metadata.name)
      await show('--namespace', namespace, 'logs', metadata.name, '--tail=40')
      if (metadata.name.includes('agent')) await show('--namespace', namespace, 'logs', metadata.name, '--previous', '--tail=20')
    }
  }
  return parts.join('\n')
}
