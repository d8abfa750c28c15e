import { evaluate } from '../expressions/evaluate.js';
import { parseExpression } from '../expressions/parse-expression.js';
import type { StepDefinition, WorkflowSpec } from '../workflow.js';
import { resolveText } from './references.js';
import { isScopeName } from './scopes.js';
import { WorkflowScope } from './workflow-scope.js';

const step = (name: string): StepDefinition => ({ name, type: 'noop', env: {}, config: {} });

function setup() {
  const spec: WorkflowSpec = {
    workflow: { steps: ['build', 'test', 'deploy', 'v1.build'].map(step), variables: { REGION: 'eu' } },
    score: {
      metadata: { name: 'shop', labels: { team: 'web' }, none: null },
      resources: {
        db: { type: 'postgres', params: { type: 'own', size: 5 }, metadata: { a: 1 } },
        bare: { type: 's3' },
      },
    },
    environment: { type: 'staging', debug: true, list: ['a'] },
    parameters: { replicas: '2', empty: '' },
  };
  const scope = new WorkflowScope(spec);
  scope.setStep('build', 'completed', { version: '1.2', success: 'no', 'a.b': 'dotted' });
  scope.setStep('test', 'skipped');
  const at = (path: string) => scope.lookUp(path.split('.'));
  const holds = (text: string, env = {}) => evaluate(parseExpression(text), scope.conditionScope(env));
  return { scope, at, holds };
}

describe('the scope of a run', () => {
  it.each([
    ['metadata.name', 'shop'],
    ['metadata.labels', '{"team":"web"}'],
    ['metadata.labels.team', 'web'],
    ['metadata.none', undefined],
    ['environment.type', 'staging'],
    ['environment.debug', 'true'],
    ['environment.list.0', 'a'],
    ['environment.list.length', undefined],
    ['environment.type.length', undefined],
    ['parameters.replicas', '2'],
    ['parameters.empty', ''],
    ['parameters.constructor', undefined],
    ['resources.db.size', '5'],
    ['resources.db.type', 'own'],
    ['resources.db.metadata.a', '1'],
    ['resources.bare', '{"type":"s3"}'],
    ['resources.none', undefined],
    ['resources.__proto__', undefined],
    ['resources.constructor.name', undefined],
    ['workflow.REGION', 'eu'],
    ['workflow.toString', undefined],
    ['build.version', '1.2'],
    ['build.a.b', 'dotted'],
    ['build.success', 'true'],
    ['build.failed', 'false'],
    ['build.hasOwnProperty', undefined],
    ['test.skipped', 'true'],
    ['deploy.success', undefined],
    ['process.env', undefined],
    ['__proto__.x', undefined],
  ])('has at %s: %j', (path, expected) => {
    expect(setup().at(path)).toBe(expected);
  });

  it('finds steps whose names have dots', () => {
    const { scope, at } = setup();
    scope.setStep('v1.build', 'failed', { log: 'x' });
    expect([at('v1.build.failed'), at('v1.build.log')]).toEqual(['true', 'x']);
  });

  it('holds the variables that steps set, for the steps after them', () => {
    const { scope, at } = setup();
    scope.setVariables({ REGION: 'us', NEW: 'n' });
    expect([at('workflow.REGION'), at('workflow.NEW')]).toEqual(['us', 'n']);
  });

  it.each([
    ['parameters.replica', "there is no parameter 'replica': did you mean 'replicas'?"],
    ['workflow.X', "there is no variable of the workflow 'X'; there are: REGION"],
    ['resources.cache.x', "there is no resource 'cache'; there are: db, bare"],
    ['resources.db.host', "resource 'db' has no host"],
    ['environment.ttl', "the document's 'environment' does not have it"],
    ['build.commit', "there is no output of step 'build' 'commit'; there are: version, success, a.b"],
    ['test.version', "step 'test' was skipped and gave no outputs"],
    ['deploy.url', "step 'deploy' has not ended yet"],
    ['buidl.version', "there is no step 'buidl': did you mean 'build'?"],
  ])('says why %s is missing', (path, why) => {
    const { scope } = setup();
    expect(() => resolveText(`\${${path}}`, scope)).toThrow(`a reference has no value: \${${path}} (${why})`);
  });
});

describe('the scope of a condition', () => {
  it("takes $X from the step's env, and from the workflow's variables", () => {
    const { holds } = setup();
    expect(holds('$REGION == eu')).toBe(true);
    expect(holds('$REGION == us', { REGION: 'us' })).toBe(true);
    expect(() => holds('$PATH')).toThrow('$PATH has no value');
    expect(() => holds('$toString')).toThrow('$toString has no value');
  });

  it('knows resources that do not exist as null, and nothing else', () => {
    const { holds } = setup();
    expect(holds('resources.cache == null and resources.db != null and resources.db.host == null')).toBe(true);
    expect(() => holds('metadata.owner == x')).toThrow("metadata.owner has no value: the document's 'metadata'");
    expect(() => holds('parameters.size == x')).toThrow("there is no parameter 'size'");
  });

  it('keeps what a value is', () => {
    const { holds } = setup();
    expect(holds('build.success and not build.failed and test.skipped')).toBe(true);
    expect(holds('resources.db.size >= 5 and environment.debug == true')).toBe(true);
    expect(holds('metadata.none == null')).toBe(true);
    expect(() => holds('deploy.success')).toThrow("step 'deploy' has not ended yet");
  });
});

it('says which names steps cannot have', () => {
  expect(['metadata', 'workflow.x', 'build', 'metadata-x'].map(isScopeName)).toEqual([true, true, false, false]);
});
