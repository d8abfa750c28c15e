import { readFileSync } from 'node:fs';
import type { DocumentIssue } from '../common/yaml/document-issue.js';
import { isMapping } from '../common/yaml/is-mapping.js';
import { parseDocument } from '../common/yaml/parse-document.js';
import { checkReferences } from '../workflows/reading/check-references.js';
import { readWorkflow, type StepRules, WORKFLOW_KEYS } from '../workflows/reading/read-workflow.js';
import { STEP_KEYS } from '../workflows/reading/step-keys.js';
import { submittedWorkflow } from '../workflows/reading/submitted-workflow.js';
import { workflowDocument } from '../workflows/reading/workflow-document.js';
import { parameterSchema } from './parameter-schema.js';
import { PARAMETER_TYPES } from './parameters.js';

const page = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
const RULES: StepRules = { stepTypes: ['bash'], validateConfig: () => [], scriptsOf: () => ['command'], maxSteps: 100 };

/** The first column of the table below a heading. */
function keysBelow(text: string, heading: string): string[] {
  const [, rest = ''] = text.split(new RegExp(`^#+ ${heading}\n`, 'm'));
  const [table = ''] = rest.split(/\n#/);
  return [...table.matchAll(/^\| `([\w.]+)` \|/gm)].map(([, key]) => key!);
}

describe('docs/workflows.md', () => {
  const text = page('workflows.md');
  const blocks = [...text.matchAll(/^```yaml\n([^]*?)^```/gm)].map(([, block]) => block!);

  it('has every key', () => {
    expect(keysBelow(text, 'The workflow').sort()).toEqual([...WORKFLOW_KEYS].sort());
    expect(keysBelow(text, 'A step').sort()).toEqual([...STEP_KEYS].sort());
  });

  it.each(blocks)('has workflows that are right: %s', (block) => {
    const document = parseDocument(block, 'yaml');
    const value = document.value as Record<string, unknown>;
    const issues: DocumentIssue[] = [];
    const source =
      value.kind === 'Workflow'
        ? workflowDocument(document, issues)
        : submittedWorkflow(document, value, 'deploy-app', issues);
    const read = readWorkflow(document, source!, RULES, issues);
    checkReferences(read!, { parameters: ['namespace_name'] }, RULES, issues);
    expect(issues).toEqual([]);
  });
});

describe('docs/golden-paths.md', () => {
  const text = page('golden-paths.md');

  it('has every type of a parameter', () => {
    expect(keysBelow(text, 'The catalogue')).toEqual([...PARAMETER_TYPES]);
  });

  it('says how the schema writes a duration', () => {
    const parameters = { ttl: { type: 'duration', required: false, min: '1m', max: '1h' } } as const;
    const path = { name: 'x', description: '', tags: [], parameters, workflow: { steps: [] }, needs: [] };
    const { properties } = parameterSchema(path);
    const ttl = isMapping(properties) && isMapping(properties.ttl) ? properties.ttl : {};
    expect(text).toContain(`format: ${String(ttl.format)}`);
    for (const key of Object.keys(ttl).filter((name) => name.startsWith('x-'))) expect(text).toContain(`\`${key}\``);
  });
});
