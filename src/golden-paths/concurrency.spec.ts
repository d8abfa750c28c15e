import type { DocumentIssue } from '../common/yaml/document-issue.js';
import type { WorkflowSpec } from '../workflows/workflow.js';
import { concurrencyFor, readConcurrency } from './concurrency.js';

const SPEC: WorkflowSpec = {
  workflow: { steps: [] },
  score: { metadata: { name: 'shop', empty: '' } },
  environment: { type: 'staging' },
  parameters: { region: 'eu' },
};

function read(raw: unknown, parameters: string[] | undefined = ['region']) {
  const issues: DocumentIssue[] = [];
  const rule = readConcurrency(raw, ['c'], issues, parameters);
  return { rule, issues };
}

describe('concurrency in the catalogue', () => {
  it.each([
    [undefined, undefined],
    [{ key: 'deploys' }, { key: 'deploys', limit: 1, whenFull: 'queue' }],
    [
      { key: '${metadata.name}-${parameters.region}', limit: 3, when_full: 'replace' },
      { key: '${metadata.name}-${parameters.region}', limit: 3, whenFull: 'replace' },
    ],
  ])('%j is read', (raw, rule) => {
    expect(read(raw)).toEqual({ rule, issues: [] });
  });

  it.each([
    ['app', 'c', "'concurrency' must be a mapping, but is the text 'app'"],
    [{}, 'c.key', "'key' must be text of 1 to 255 characters"],
    [{ key: 5 }, 'c.key', "'key' must be text of 1 to 255 characters"],
    [{ key: 'x'.repeat(256) }, 'c.key', "'key' must be text of 1 to 255 characters"],
    [{ key: 'a', limit: 0 }, 'c.limit', "'limit' must be a whole number from 1 to 10000"],
    [{ key: 'a', limit: '2' }, 'c.limit', "'limit' must be a whole number from 1 to 10000"],
    [{ key: 'a', when_full: 'wait' }, 'c.when_full', "'when_full' must be one of queue, replace, reject"],
    [{ key: 'a', limits: 2 }, 'c.limits', "unknown key 'limits'"],
    [{ key: '${build.version}' }, 'c.key', '${build.version} is not known when a task is submitted'],
    [{ key: '${parameters.rgion}' }, 'c.key', "there is no parameter 'rgion'"],
  ])('%j is refused', (raw, path, message) => {
    const { rule, issues } = read(raw);
    expect(rule).toBeUndefined();
    expect(issues.map((issue) => [issue.path.join('.'), issue.message])).toEqual([[path, message]]);
  });

  it('takes any parameter where it is not known which there are', () => {
    expect(readConcurrency({ key: '${parameters.any}' }, [], [], undefined)).toBeDefined();
  });
});

describe('the key of a submission', () => {
  const rule = { limit: 2, whenFull: 'queue' } as const;

  it('has its references filled in', () => {
    const key = '${metadata.name}/${environment.type}/${parameters.region}';
    expect(concurrencyFor({ ...rule, key }, SPEC)).toEqual({ ...rule, key: 'shop/staging/eu' });
  });

  it.each([
    ['${metadata.team}', /cannot be made: a reference has no value: \$\{metadata\.team\}/],
    ['${metadata.empty}', /is empty for this submission/],
    ['x'.repeat(250) + '${metadata.name}/x', /longer than 255 characters/],
  ])('%s is a sentence on what is wrong', (key, expected) => {
    expect(concurrencyFor({ ...rule, key }, SPEC)).toMatch(expected);
  });
});
