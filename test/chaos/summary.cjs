const { existsSync, mkdtempSync, readFileSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

/** What has a column of its own; all other numbers of a test share the last one. */
const COLUMNS = ['tasks', 'kills', 'doubled', 'lost', 'slowest_recovery_ms'];

/** At the end of a run, the numbers that its tests left with `report()`: one table, in the Markdown of docs/guarantees.md. */
module.exports = class Summary {
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'turnpike-chaos-'));
    // Before there are workers: they inherit it.
    process.env.CHAOS_NUMBERS = join(this.folder, 'numbers');
  }

  onRunComplete() {
    const file = process.env.CHAOS_NUMBERS;
    const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
    rmSync(this.folder, { recursive: true, force: true });
    if (lines.length > 0) process.stdout.write(`\n${tableOf(lines.map((line) => JSON.parse(line)))}\n`);
  }
};

function tableOf(reports) {
  const rows = reports.map(({ test, numbers }) => {
    const others = Object.entries(numbers).filter(([name]) => !COLUMNS.includes(name));
    const rest = others.map(([name, value]) => `${name.replaceAll('_', ' ')}: ${value}`).join(', ');
    return [test, ...COLUMNS.map((name) => numbers[name] ?? ''), rest.replaceAll('|', '\\|')];
  });
  const head = ['test', ...COLUMNS.map((name) => name.replaceAll('_', ' ')), 'and'];
  const total = (name) => reports.reduce((sum, { numbers }) => sum + (numbers[name] ?? 0), 0);
  const slowest = Math.max(0, ...reports.map(({ numbers }) => numbers.slowest_recovery_ms ?? 0));
  const sums = ['all', ...['tasks', 'kills', 'doubled', 'lost'].map(total), slowest, ''];
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line), line(sums)].join('\n');
}
