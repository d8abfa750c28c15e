import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const page = readFileSync(join(ROOT, 'docs/threat-model.md'), 'utf8');

/** `path` "title" */
const CITATION = /`([^`]+)` "([^"]+)"/g;
const NOTHING_TO_TRY = '—';

interface Row {
  readonly attack: string;
  readonly cell: string;
}

/** The rows of all tables whose last column names tests. */
function attacks(): Row[] {
  const rows: Row[] = [];
  let inTable = false;
  for (const line of page.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    if (cells.length < 4) inTable = false;
    else if (cells.at(-2) === 'test') inTable = true;
    else if (inTable && !/^-+$/.test(cells[1]!)) rows.push({ attack: cells[1]!, cell: cells.at(-2)! });
  }
  return rows;
}

/** Whether a test, or a row of a table of tests, has this title in the file, and is not switched off by hand. */
function hasTest(source: string, title: string): boolean {
  return ["'", '"', '`'].some((quote) => {
    const literal = quote + title.replaceAll("'", quote === "'" ? "\\'" : "'") + quote;
    const at = source.indexOf(literal);
    return at >= 0 && !/\b(?:skip|todo|xit|xtest)\(\s*$/.test(source.slice(0, at));
  });
}

const rows = attacks();

describe('docs/threat-model.md', () => {
  it('has a table for each of the attackers', () => {
    expect(rows.length).toBeGreaterThan(60);
    expect(page.match(/^\|.*\| test \|$/gm)).toHaveLength(6);
  });

  it.each(rows)('names tests that there are: $attack', ({ cell }) => {
    if (cell === NOTHING_TO_TRY) return;
    const citations = [...cell.matchAll(CITATION)].map(([, path, title]) => ({ path: path!, title: title! }));
    expect(citations).not.toEqual([]);
    // All that stands there is read: a citation in another form would be checked by nobody.
    expect(cell.replaceAll(CITATION, '').replaceAll(/[;\s]/g, '')).toBe('');
    const wrong = citations.filter(({ path, title }) => {
      const file = join(ROOT, path);
      return !/\.spec\.ts$/.test(path) || !existsSync(file) || !hasTest(readFileSync(file, 'utf8'), title);
    });
    expect(wrong).toEqual([]);
  });

  it('finds only what is there', () => {
    const source = `it('reads it', () => {}); it.skip("is off", () => {}); it('shows secrets', () => {});`;
    expect(hasTest(source, 'reads it')).toBe(true);
    for (const title of ['reads', 'is off', 'secrets', 'shows']) expect(hasTest(source, title)).toBe(false);
  });
});
