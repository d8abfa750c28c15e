import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeEmptied } from './remove-emptied.js';

describe('removeEmptied', () => {
  let root: string;
  const tree = (name: string) => {
    mkdirSync(join(root, name, 'inner'), { recursive: true });
    return [join(root, name, 'inner'), join(root, name)];
  };

  beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'remove-emptied-'))));
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('removes the directories of a few trees, and of many', async () => {
    for (const count of [1, 40]) {
      const trees = Array.from({ length: count }, (_, n) => tree(`${n}`));
      await Promise.all(trees.map((directories) => removeEmptied(directories)));
      expect(trees.some(([, outer]) => existsSync(outer!))).toBe(false);
    }
    await removeEmptied([]);
  });

  it('tells only the one whose directory is not empty', async () => {
    const full = tree('full');
    writeFileSync(join(root, 'full', 'file'), '');
    const other = tree('other');
    const ends = await Promise.allSettled([removeEmptied(full), removeEmptied(other)]);
    expect(ends.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });
});
