import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StepRules } from '../workflows/reading/read-workflow.js';
import { CatalogueError } from './golden-path.js';
import { loadCatalogue } from './load-catalogue.js';

const RULES: StepRules = { stepTypes: ['bash'], validateConfig: () => [], scriptsOf: () => [], maxSteps: 100 };

const WORKFLOW = `kind: Workflow
spec:
  steps:
    - name: one
      type: bash
      env: {N: "\${parameters.replicas}", APP: "\${metadata.name}"}
      config: {command: echo}
`;
const CATALOGUE = `goldenpaths:
  deploy-app:
    workflow: ./workflows/deploy-app.yaml
    description: Deploys
    category: deployment
    tags: [a, b]
    estimated_duration: 1-2 minutes
    parameters:
      replicas: {type: int, default: "1", min: 1, max: 10}
`;

describe('the catalogue', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'turnpike-catalogue-'));
    await mkdir(join(folder, 'workflows'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function load(catalogue: string, workflow: string | null = WORKFLOW) {
    await writeFile(join(folder, 'goldenpaths.yaml'), catalogue);
    if (workflow !== null) await writeFile(join(folder, 'workflows/deploy-app.yaml'), workflow);
    return loadCatalogue(join(folder, 'goldenpaths.yaml'), RULES);
  }

  /** The lines of the error, without the folder. */
  async function faults(catalogue: string, workflow?: string | null): Promise<string[]> {
    const error = await load(catalogue, workflow).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof CatalogueError)) throw new Error(`no CatalogueError, but ${String(error)}`);
    return error.lines.map((line) => line.replaceAll(`${folder}/`, ''));
  }

  it('is read with its workflows', async () => {
    expect([...(await load(CATALOGUE)).values()]).toEqual([
      {
        name: 'deploy-app',
        description: 'Deploys',
        category: 'deployment',
        estimatedDuration: '1-2 minutes',
        tags: ['a', 'b'],
        parameters: { replicas: { type: 'int', required: false, default: '1', min: '1', max: '10' } },
        workflow: { steps: [expect.objectContaining({ name: 'one', type: 'bash' })] },
        needs: [{ step: 'one', path: ['metadata', 'name'] }],
      },
    ]);
  });

  it.each([
    ['goldenpaths: {}', /^goldenpaths\.yaml:1:\d+: goldenpaths: the catalogue has no 'goldenpaths'\. Write/],
    ['[]', /has no 'goldenpaths'/],
    ['goldenpaths:\n\tx: 1', /^goldenpaths\.yaml:2:1: .*[Tt]ab/],
    [CATALOGUE.replace('deploy-app:', 'Deploy App:'), /:2:3: .*'Deploy App' is no name for a golden path/],
    [CATALOGUE.replace('description:', 'descripton:'), /:4:5: .*unknown key 'descripton'\. Did you mean 'description'/],
    [CATALOGUE.replace('[a, b]', 'a'), /:6:11: .*'tags' must be a list/],
    [CATALOGUE.replace('Deploys', '[x]'), /:4:5: .*'description' must be text/],
    [CATALOGUE.replace('./workflows/', '../'), /:3:15: .*'workflow' must name a YAML file beside/],
    [CATALOGUE.replace('deploy-app.yaml', 'none.yaml'), /^workflows\/none\.yaml: cannot be read \(ENOENT\)/],
    [CATALOGUE.replace('type: int', 'type: integer'), /replicas\.type: .* is no type of a parameter/],
    [CATALOGUE.replace('type: int, ', ''), /replicas.*'type' is missing/],
    [CATALOGUE.replace('"1"', '"0"'), /the default must be from 1 to 10, but is '0'/],
    [CATALOGUE.replace('min: 1', 'min: low'), /'min' must be a whole number/],
    [CATALOGUE.replace('type: int', 'type: duration'), /'min' must be a duration/],
    [CATALOGUE.replace('type: int', 'type: bool'), /'min' is for parameters of type int and duration/],
    [CATALOGUE.replace('type: int', 'type: enum'), /an enum needs 'allowed_values'/],
    [CATALOGUE.replace('min: 1', 'allowed_values: 5'), /'allowed_values' must be a list/],
    [CATALOGUE.replace('min: 1', 'required: maybe'), /'required' must be true or false/],
    [CATALOGUE.replace('min: 1', "pattern: '['"), /'pattern' cannot be used: Invalid regular expression/],
    [CATALOGUE.replace('min: 1', "pattern: '(?=a)'"), /'pattern' cannot be used: .* lookahead and lookbehind/],
    [CATALOGUE.replace('min: 1', 'minimum: 1'), /unknown key 'minimum'/],
    [CATALOGUE.replace('replicas:', '1x:'), /'1x' is no name for a parameter/],
    [CATALOGUE.replace(/\{type.*/, '5'), /a parameter must be a mapping/],
    [CATALOGUE.replace(/parameters:\n.*/, 'parameters: []'), /'parameters' must be a mapping/],
    ['goldenpaths:\n  deploy-app: 5', /:2:15: .*a golden path must be a mapping/],
  ])('is refused with place and fix: %j', async (catalogue, expected) => {
    expect((await faults(catalogue)).join('\n')).toMatch(expected);
  });

  it.each([
    [WORKFLOW.replace('Workflow', 'Worklfow'), /^workflows\/deploy-app\.yaml:1:7: kind: 'kind' must be Workflow/],
    [WORKFLOW.replace('type: bash', 'type: bsh'), /:5:13: .*unknown step type 'bsh': did you mean 'bash'/],
    [
      WORKFLOW.replace('parameters.replicas', 'parameters.replica'),
      /there is no parameter 'replica'\. Did you mean 'replicas'/,
    ],
    [
      WORKFLOW.replace('metadata.name', 'build.version'),
      /'\$\{build\.version\}' refers to nothing: there is no step 'build'\. Known: /,
    ],
    ['kind: Workflow', /'steps' is missing/],
    ['a: [', /^workflows\/deploy-app\.yaml:1:/],
  ])('names the workflow file and the line: %j', async (workflow, expected) => {
    expect((await faults(CATALOGUE, workflow)).join('\n')).toMatch(expected);
  });

  it('says where the catalogue was looked for', async () => {
    await expect(loadCatalogue(join(folder, 'none.yaml'), RULES)).rejects.toThrow(
      /none\.yaml: cannot be read.*GOLDEN_PATHS_FILE/,
    );
  });

  it('tells all errors at once', async () => {
    const broken = CATALOGUE.replace('[a, b]', 'a').replace('type: int', 'type: integer');
    expect(await faults(broken, WORKFLOW.replace('type: bash', 'type: bsh'))).toHaveLength(5);
  });
});
