/** VERIFY.md of a report: what to do with the folder, for somebody who has never seen one. */
import { artifactLabel } from './lineage-formats.ts'
import type { Report } from './report-document.ts'

const day = (ms: number): string => new Date(ms).toISOString()

/** What was asked, as a title. */
export function sayQuestion({ question, lineage }: Pick<Report, 'question' | 'lineage'>): string {
  const { artifact, signer, direction, since, until } = question
  const names = lineage.artifacts.find(({ id }) => id === artifact)?.names
  const it = artifact === undefined ? '' : artifactLabel({ id: artifact, ...(names && { names }) })
  const what = {
    up: `What went into ${it}`,
    down: `What ${it} reached`,
    both: `What ${it} is made of, and what it reached`,
  }[direction]
  const times = [since === undefined ? '' : `from ${day(since)}`, until === undefined ? '' : `until ${day(until)}`]
  return [signer === undefined ? what : `What the key ${signer} signed, and what came of it`, ...times]
    .filter((text) => text !== '')
    .join(', ')
}

export function formatInstructions(report: Report): string {
  const { logs, evidence } = report
  const origins = logs.map(
    ({ log, origin }) => `* \`${origin}\` (called \`${log}\` by its server): \`checkpoints/${log}.txt\``,
  )
  return `# How to verify this report

A report of lineage: \`report.html\` is for reading, \`report.json\` for programs.

You need no network, and you need not trust whoever gave you this folder or whoever runs the logs. You need the keys that you trust, in a trust
policy (C2SP tlog-policy) that you have from somewhere else: the public key of each log below, and of the witnesses that must have seen its
checkpoints. Do not take that file from the same hands as this folder.

    treeline verify --trust trust.txt FOLDER
${logs.length > 1 ? '\n(with one more `--trust` for each log whose witnesses are others, if you have their quorums in files of their own)\n' : ''}
says what is wrong and ends with 1, or says \`verified\` and ends with 0. It checks that

1. every file in \`evidence/\` (${evidence.length} of them) is an event of its log, signed by keys that the write policy of the log allowed, under a checkpoint that your trust policy accepts;
2. all evidence of a log is part of one tree, the one of its checkpoint here${logs.length > 1 ? ', and what a log says that it goes on from is a part of that log' : ''};
3. the lineage in \`report.json\` is what follows from that evidence and from nothing else: no artifact, event or edge more or less;
4. \`report.html\`, this file and the checkpoints are what \`report.json\` says, byte for byte, and no other file is in the folder.

It cannot check that nothing was left out of the evidence: for that somebody has to read the logs (\`treeline trace --complete\`). The faults and
notices in the report are the word of whoever made it.

Each file in \`evidence/\` is a C2SP tlog-proof: \`treeline verify --trust trust.txt evidence/FILE\` says what one of them shows, and any verifier of that
format can check its proof.

## Checkpoints

${origins.join('\n')}
`
}
