/** A signed note of a checkpoint as it reads, for pages that show one. Nothing is verified. */
export function parseCheckpointNote(note: string): {
  readonly size: string
  readonly root: string
  /** Names on its signature lines. */
  readonly signers: readonly string[]
} {
  const [text = '', lines = ''] = note.split('\n\n')
  const [, size = '', root = ''] = text.split('\n')
  return { size, root, signers: lines.split('\n').flatMap((line) => /^— (\S+) /.exec(line)?.[1] ?? []) }
}
