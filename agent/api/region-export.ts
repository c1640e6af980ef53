import { regionFile } from '../cloud/contract/export.ts'
import type { MadeRegionFile } from '../export/places/place.ts'
import { isNotModified, json, route } from './http.ts'
import { readResponses } from './projects.ts'
import type { Resource } from './resource.ts'

/** How long a file is given out again, in milliseconds: it takes a read of all volumes. */
const freshMs = 10_000
/** The longest time that it takes to make one, in milliseconds. */
const longestMs = 120_000

/** The file that the region can be made again from. */
export const regionExport: Resource = {
  open({ clock, recovery }) {
    let latest: { file: Promise<MadeRegionFile>; until: number } | undefined

    /** One for all who ask at the same time. */
    function file(): Promise<MadeRegionFile> {
      if (latest && clock.monotonic() < latest.until) return latest.file
      const made = recovery.files.plain(AbortSignal.timeout(longestMs))
      const entry = { file: made, until: Number.POSITIVE_INFINITY }
      latest = entry
      const forget = (ms: number) => {
        entry.until = clock.monotonic() + ms
        // A large one is not kept for nobody.
        void clock.sleep(ms).then(() => {
          if (latest === entry) latest = undefined
        })
      }
      made.then(
        () => forget(freshMs),
        () => forget(0),
      )
      return made
    }

    const getExport = route({
      method: 'GET',
      path: '/region/export',
      operationId: 'getRegionExport',
      tag: 'Region',
      summary: 'The file that the region can be made again from',
      description:
        'Projects, databases, volumes and what else it takes to make the region again in another cluster, as of now, signed with the key of the ' +
        'region if it has one. It has no secrets, also where the site has named somebody who may open them: files at other places have those. The ' +
        'entity tag is weak: it stays while nothing but the times and the head of the ledger changes. The answer is cached for ten seconds.',
      scope: 'region:read',
      problems: ['not-ready', 'wrong-state', 'cluster-unreachable', 'cluster-forbidden', 'cluster-error'],
      responses: () =>
        readResponses({ description: 'The file.', schema: regionFile, headers: { 'Content-Disposition': 'A name for the file.' } }),
      async handle(c) {
        const { bytes, content, region, createdAt } = await file()
        const name = `skerry-region-${region}-${createdAt.slice(0, 19).replaceAll(/[-:]/g, '')}Z.json`
        const etag = `W/"${content.slice(0, 16)}"`
        if (isNotModified(c, etag)) return json(c, 200, bytes, { etag })
        return json(c, 200, bytes, { etag, 'content-disposition': `attachment; filename="${name}"` })
      },
    })
    return { routes: [getExport] }
  },
}
