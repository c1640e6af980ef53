import { readFile } from 'node:fs/promises'
import { type EdgeNodeAddress, followBirths, lineOf } from './births.ts'
import { firstFolder } from './folder.ts'

/** Prints what the edge node of the region that `npm start` runs says, decoded, from its births on, until Ctrl-C. */
const [, , folder = firstFolder] = process.argv
const text = await readFile(`${folder}/region.json`, 'utf8').catch(() => undefined)
if (text === undefined) {
  process.stderr.write(`There is no ${folder}/region.json here: npm start writes it, and takes it away when it ends.\n`)
  process.exit(1)
}
const address: EdgeNodeAddress = JSON.parse(text).mqtt
const births = await followBirths(address, (message) => process.stdout.write(`${lineOf(address, message)}\n`))
await births.askForRebirth()
