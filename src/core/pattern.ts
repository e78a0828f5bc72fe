/** Patterns of the write policy: exact, or a prefix that ends in `*`. Nothing more, so that they can be read at a glance. */

export const isPattern = (text: string): boolean => text !== '' && !text.slice(0, -1).includes('*')

export const matchPattern = (pattern: string, text: string): boolean =>
  pattern.endsWith('*') ? text.startsWith(pattern.slice(0, -1)) : text === pattern

export const matchAny = (patterns: readonly string[], text: string): boolean =>
  patterns.some((pattern) => matchPattern(pattern, text))
