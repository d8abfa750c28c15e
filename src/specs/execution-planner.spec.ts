import { Problem } from '../common/problem/problem.js';
import { Settings } from '../config/settings.js';
import type { GoldenPathsService } from '../golden-paths/golden-paths.service.js';
import { standIn } from '../../test/support/queue-doubles.js';
import type { StepRegistry } from '../workflows/step-registry.js';
import type { ExecutionRequest } from '../workflows/task-planner.js';
import { ExecutionPlanner } from './execution-planner.js';
import { SubmissionPlanner } from './submission-planner.js';

const WORKFLOW = { steps: [], retry: { maxAttempts: 3 }, timeoutSeconds: 60 };
const RULES = { stepTypes: ['bash'], validateConfig: () => [], scriptsOf: () => [], maxSteps: 10 };

function setup(problems: { path: string; message: string }[] = []) {
  const goldenPaths = standIn<GoldenPathsService>({
    get: (name: string) => ({ name, parameters: {}, workflow: WORKFLOW }),
    prepare: jest.fn(() => ({ parameters: { replicas: '2' }, problems })),
  });
  const registry = standIn<StepRegistry>({ rules: () => RULES });
  const planner = new ExecutionPlanner(goldenPaths, new SubmissionPlanner(goldenPaths, registry, new Settings()));
  const plan = (changes: Partial<ExecutionRequest> = {}) =>
    planner.plan({ goldenPath: 'backup', appName: 'shop', parameters: {}, labels: {}, ...changes });
  return { plan };
}

function refusal(work: () => unknown) {
  try {
    work();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('ExecutionPlanner', () => {
  it('plans what an execution of the same would run', () => {
    const { plan } = setup();
    expect(plan({ labels: { team: 'blue' } })).toEqual({
      ...{ appName: 'shop', workflowName: 'golden-path-backup', goldenPath: 'backup', labels: { team: 'blue' } },
      ...{ maxAttempts: 3, timeoutSeconds: 60 },
      workflowSpec: expect.objectContaining({ workflow: WORKFLOW, parameters: { replicas: '2' } }),
    });
  });

  it('names places as the request has them, without the lines of a text that nobody wrote', () => {
    const { plan } = setup([{ path: 'param.replicas', message: 'parameter missing' }]);
    expect(refusal(() => plan()).errors).toEqual([{ path: 'parameters.replicas', message: 'parameter missing' }]);
    const wrong = refusal(() => plan({ appName: 'No Name', labels: { 'bad name': 'x' } }));
    expect(wrong.status).toBe(422);
    expect(wrong.errors.map(({ path, line }) => [path, line])).toEqual([
      ['app_name', undefined],
      ['labels.bad name', undefined],
    ]);
    const spec = refusal(() => plan({ spec: { apiVersion: 'score.dev/v1b1', metadata: { name: 'shop' } } }));
    expect(spec.errors.map(({ path }) => path)).toEqual(['spec.containers']);
  });

  it('needs an application, by its name or by a document', () => {
    expect(refusal(() => setup().plan({ appName: undefined })).errors[0]).toMatchObject({ path: 'app_name' });
  });
});
