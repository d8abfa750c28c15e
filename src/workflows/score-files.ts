/** The Score document as the steps of its task find it in their working directory, by file name. */
export function scoreFiles(score: Record<string, unknown>): Record<string, string> {
  return { 'score.json': `${JSON.stringify(score, null, 2)}\n`, 'score.properties': toProperties(score) };
}

/**
 * One `path=value` line for each leaf, sorted by path, for scripts that have nothing but bash to read with. Names are
 * joined by dots, places in a list are numbers from 0; in values `\` is written as `\\` and a line feed as `\n`.
 */
export function toProperties(value: unknown): string {
  const lines: string[] = [];
  const walk = (path: string, node: unknown): void => {
    if (typeof node === 'object' && node !== null) {
      for (const [key, child] of Object.entries(node)) walk(path === '' ? key : `${path}.${key}`, child);
    } else {
      const text = node === null ? '' : typeof node === 'string' ? node : JSON.stringify(node);
      lines.push(`${path}=${text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n`);
    }
  };
  walk('', value);
  return lines.sort().join('');
}
