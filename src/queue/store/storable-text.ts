/** The text with U+FFFD for what PostgreSQL cannot store: NUL, and halves of surrogate pairs. */
export function storableText(text: string): string {
  // UTF-8 has no way to write half of a pair either: Buffer puts U+FFFD there.
  return Buffer.from(text).toString().replaceAll('\0', '\ufffd');
}
