// A server whose every answer needs a file, for a process with few descriptors.
import { readFileSync } from 'node:fs'
import { createLog } from '../../shared/log.ts'
import { createPlainServer } from '../../shared/server.ts'

const log = createLog({ level: 'info', name: 'few-descriptors' })
const part = createPlainServer(
  { host: '127.0.0.1', port: 0 },
  {
    answer({ outgoing }) {
      readFileSync('/proc/self/limits')
      outgoing.end('read a file')
    },
    log,
  },
)
await part.start(new AbortController().signal)
