/** One argument of a command as bash reads it: whatever is in it stays text. */
export function quote(argument: string): string {
  return `'${argument.replaceAll("'", `'\\''`)}'`;
}

/**
 * A command as a line of a script. An argument that is a value of somebody's stands after `--`, or behind the `=` of its
 * option, so that it is never taken for an option itself.
 */
export function commandLine(...argv: readonly string[]): string {
  return argv.map(quote).join(' ');
}
