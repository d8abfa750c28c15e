import { readdirSync, readFileSync } from 'node:fs';
import type { DiscoveryService } from '@nestjs/core';
import { largeBodies, mutated, nastyObject, nastyText, readsOrRefuses, tryAll } from '../../test/support/fuzz.js';
import { SafeFetch } from '../common/safe-fetch.js';
import { checkParameters } from '../golden-paths/parameters.js';
import { validateText } from '../golden-paths/validate-catalogue.js';
import { StepRegistry } from '../workflows/step-registry.js';
import { StepType } from '../workflows/step-type.decorator.js';
import type { ScriptRunner } from '../workflows/steps/script-runner.js';
import { STEP_TYPES } from '../workflows/steps/step-types.js';
import { readExecution } from './execute-body.js';
import { readIdempotencyKey } from './idempotency-key.js';
import { parseSubmission } from './score/parse-submission.js';
import { readSubmissionQuery } from './submission-query.js';

/** The rules of all step types that the service brings along. */
function realRules() {
  const providers = STEP_TYPES.map((type) => {
    const fetches = Reflect.getMetadata('design:paramtypes', type)?.[0] === SafeFetch;
    return { instance: new type(fetches ? new SafeFetch() : ({} as ScriptRunner)) };
  });
  const registry = new StepRegistry({
    getProviders: () => providers,
    getMetadataByDecorator: (_: unknown, { instance }: { instance: object }) =>
      Reflect.getMetadata(StepType.KEY, instance.constructor) as string,
  } as unknown as DiscoveryService);
  registry.onModuleInit();
  return registry.rules(1_000);
}

const RULES = realRules();
const DEFINITIONS = {
  size: { type: 'int', required: false, max: '3' },
  kind: { type: 'string', required: false },
} as const;
const PATH = {
  name: 'deploy-app',
  parameters: { ...DEFINITIONS, name: { type: 'string', pattern: '^a+$', required: false } },
} as const;
const filesOf = (folder: string) => readdirSync(folder).map((file) => readFileSync(`${folder}/${file}`, 'utf8'));
const EXAMPLES = filesOf('examples/workflows');
const surroundings = { file: 'goldenpaths.yaml', rules: RULES, closed: [], inForce: new Map() };

const QUERY = {
  ...{ golden_path: ['deploy-app'], priority: ['high'], start_within: ['90s'], run_at: ['9999-12-31T23:59:59-14:00'] },
  ...{ delay: ['1h', '0s'], max_attempts: ['3', '1e1'], timeout: ['500ms'], concurrency_key: ['a'], dry_run: ['true'] },
  ...{ 'label.team': ['x'], 'label.__proto__': ['x'], 'param.size': ['3'], 'param.__proto__': ['x'] },
};
const EXECUTION = {
  ...{ app_name: ['shop'], parameters: [{}, { size: 1 }], labels: [{ team: 'x' }] },
  spec: [{ apiVersion: 'score.dev/v1b1', metadata: { name: 'shop' }, containers: { web: { image: 'x' } } }],
};
const execute = (body: Buffer) => readsOrRefuses(() => readExecution(body, 'application/json', RULES, PATH));

describe('a hostile submission', () => {
  it('is a mutated example, which is read or refused', () =>
    tryAll(mutated(...EXAMPLES), 100, (body) => {
      readsOrRefuses(() => parseSubmission(body, 'application/yaml', RULES, PATH));
    }));

  it('has a query that is read or refused', () =>
    tryAll(nastyObject(QUERY), 80, (query) => {
      const read = readsOrRefuses(() => readSubmissionQuery(query));
      if (read) expect(Object.getPrototypeOf(read.parameters)).toBe(Object.prototype);
    }));

  it('has a body beside a document that is read or refused', () =>
    tryAll(nastyObject(EXECUTION), 80, (given) => {
      const read = execute(Buffer.from(JSON.stringify(given)));
      if (read) readsOrRefuses(() => checkParameters(PATH.parameters, read.parameters, ''));
    }));

  it.each(largeBodies(['spec', 'workflow']))('has a body of %s that is read or refused', (_, text) => {
    const body = Buffer.from(text);
    const read = execute(body);
    if (read) readsOrRefuses(() => checkParameters(PATH.parameters, read.parameters, ''));
    readsOrRefuses(() => parseSubmission(body, 'application/json', RULES, PATH));
  });

  it.each(largeBodies(['name']))('has %s inside it that are read or refused', (_, text) => {
    const document = (rest: string) =>
      Buffer.from(
        `{"apiVersion":"score.dev/v1b1","metadata":{"name":"shop"},"containers":{"web":{"image":"x"}},${rest}}`,
      );
    const submit = (rest: string) =>
      readsOrRefuses(() => parseSubmission(document(rest), 'application/json', RULES, PATH));
    const step = `"name":"a","type":"bash"`;
    submit(`"workflow":{"steps":[{${step},"config":{"command":"x"},"env":${text}}]}`);
    submit(`"workflow":{"steps":[{${step},"config":${text}}]}`);
    submit(`"workflow":{"steps":[{${step},${text.slice(1, -1)}}]}`);
    submit(`"workflow":{"steps":[{${step}}],"variables":${text}}`);
    submit(`"workflow":{"steps":[{${step}}],"outputs":${text}}`);
    submit(`"workflow":{"steps":${text}}`);
    submit(`"resources":${text}`);
    submit(`"environment":${text}`);
    const read = execute(Buffer.from(`{"app_name":"shop","parameters":${text}}`));
    if (read) readsOrRefuses(() => checkParameters(PATH.parameters, read.parameters, ''));
    execute(Buffer.from(`{"app_name":"shop","labels":${text}}`));
  });

  it.each(largeBodies(['workflow']))('is a catalogue of %s, which is checked or refused', async (_, text) => {
    for (const catalogue of [text, `{"goldenpaths":${text}}`, `{"goldenpaths":{"a":${text}}}`]) {
      const body = Buffer.from(catalogue);
      const before = process.cpuUsage();
      await validateText(body, 'application/json', surroundings);
      expect(process.cpuUsage(before).user / 1_000).toBeLessThan(1_000);
    }
  });

  it('has a key that is read or refused', () =>
    tryAll(nastyText, 60, (key) => {
      const request = { headers: { 'idempotency-key': key }, method: 'POST', url: '/api/specs' };
      readsOrRefuses(() => readIdempotencyKey(request, undefined));
    }));

  it('is a catalogue, which is checked or refused', () =>
    tryAll(mutated(readFileSync('goldenpaths.yaml', 'utf8'), ...filesOf('workflows')), 15, async (body) => {
      const verdict = await validateText(body, 'application/yaml', surroundings);
      expect(verdict.errors.length).toBeLessThanOrEqual(100);
    }));
});
