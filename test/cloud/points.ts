/**
 * The points of docs/your-cloud.md, by their titles, in the order of the page: what a cloud has to do. The honest cloud can leave one of them
 * out, so that the script that tries clouds is seen to notice it.
 */
export const points = [
  'JSON with your time',
  'The shape of answers',
  'Idle connections',
  'Compressed bodies',
  'Unknown fields',
  'The signature',
  'Method and URL',
  'What the proof is over',
  'The time',
  'Once',
  'The key of the region',
  'An unknown region',
  'The credential',
  'An unknown token',
  'An expired token',
  'One region for a token',
  'Same key, same region',
  'What proves the token',
  'No token',
  'One code for two',
  'Codes as people type them',
  'The document',
  'The last number',
  'One less, and the last was never used',
  'A lower number',
  'A higher number',
  'A forged state',
  'Problem documents',
  'Patience',
  'The whole status',
  'A patch',
  'Another status',
  'A heartbeat',
  'Whether a region lives',
  'Leaving',
  'The trust document',
  'Another CA',
  'Another key',
  'All together',
] as const

/** The title of a point. */
export type Point = (typeof points)[number]
