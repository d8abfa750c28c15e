/**
 * The offset in a document of a place inside one of its texts. `valueOffset` is where the text stands in the document,
 * `offset` the place in its value. Undefined where the two cannot be matched: the text has escapes, or is folded.
 */
export function placeInText(text: string, valueOffset: number, value: string, offset: number): number | undefined {
  const first = text[valueOffset];
  const quoted = first === '"' || first === "'" ? valueOffset + 1 : valueOffset;
  if (text.startsWith(value, quoted)) return quoted + offset;
  return first === '|' ? placeInBlock(text, valueOffset, value, offset) : undefined;
}

/** A block has its lines as they are, behind an indentation that is the same for all. */
function placeInBlock(text: string, valueOffset: number, value: string, offset: number): number | undefined {
  const before = value.slice(0, offset).split('\n');
  let start = valueOffset;
  for (let line = 0; line < before.length; line++) {
    start = text.indexOf('\n', start) + 1;
    if (start === 0) return undefined;
  }
  const line = value.split('\n', before.length).at(-1)!;
  const found = text.slice(start).match(/^[^\r\n]*/)![0];
  const column = before.at(-1)!.length;
  return found.trimStart() !== '' && found.endsWith(line) ? start + found.length - line.length + column : undefined;
}
