import { execFileSync } from 'node:child_process';
import { commandLine } from './command-line.js';

it('hands every argument to the command as it is', () => {
  const values = ["it's", '$(touch x) `id`', '-rf', '', 'a\nb', '"\\"', '*', 'ü ✓', "''"];
  const output = execFileSync('bash', ['-c', commandLine('printf', '%s\\0', ...values)], { encoding: 'utf8' });
  expect(output.split('\0').slice(0, -1)).toEqual(values);
});
