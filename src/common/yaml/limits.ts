/**
 * What a document may cost. The bounds hold whatever the text is, so that a hostile document of the accepted size is
 * answered within a second; they are far above what a person writes. Memory and the depth of every later walk
 * (validation, `JSON.stringify`, jsonb) are bounded by the same numbers, aliases counted as if written out.
 */
export const LIMITS = {
  /** Mappings and lists inside each other. */
  depth: 100,
  /** Values and keys, aliases expanded. */
  nodes: 100_000,
  /** References to anchors. */
  aliases: 10_000,
  /** Characters of all keys and values, aliases expanded: one large text may not be repeated at will. */
  characters: 4 * 1024 * 1024,
  /** Lexical tokens of a YAML text, spaces and line breaks among them. */
  tokens: 300_000,
  /** Problems reported of one document; the rest would be noise. */
  problems: 100,
} as const;
