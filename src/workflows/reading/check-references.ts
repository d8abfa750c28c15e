import { type DocumentIssue, MAX_COUNTED } from '../../common/yaml/document-issue.js';
import type { DocumentPath } from '../../common/yaml/document-path.js';
import { LIMITS } from '../../common/yaml/limits.js';
import { ExpressionError } from '../expressions/expression.js';
import { parseExpression } from '../expressions/parse-expression.js';
import { isDag, namedOrder } from '../order-problems.js';
import { Ancestry, planOf } from '../plan.js';
import { referencesInValue, type Scope } from '../references/references.js';
import { prepareScript } from '../references/script-references.js';
import { isSetByEnv } from '../process/watched-process.js';
import type { StepDefinition, Workflow } from '../workflow.js';
import { SECRETS } from '../secrets/secret-references.js';
import { KnownNames, type ReferenceFault, type ReferencePlace } from './known-names.js';
import type { ReadWorkflow, StepRules } from './read-workflow.js';

/** What a workflow can refer to beside its own steps and variables. */
export interface Surroundings {
  /** The names of the golden path's parameters; undefined where it is not known which they are. */
  readonly parameters?: readonly string[];
  /** The submitted document, which is asked for `metadata`, `environment` and `resources`; undefined before it is known. */
  readonly document?: Scope;
  /** What speaks against the use of a secret; undefined where it is not known who may use which. */
  readonly secretFault?: (name: string) => ReferenceFault | undefined;
}

type Rules = Pick<StepRules, 'scriptsOf' | 'secretsOf'>;

/** A reference that only a document can answer. */
export interface OpenReference {
  /** The name of the step that has it; undefined for the outputs of the workflow. */
  readonly step?: string;
  readonly path: readonly string[];
}

/**
 * Notes each reference that leads nowhere, as far as that can be known before the workflow runs. Returns those that the
 * document must answer, once each for a step, where it is not known yet.
 */
export function checkReferences(
  read: ReadWorkflow,
  surroundings: Surroundings,
  rules: Rules,
  issues: DocumentIssue[],
): OpenReference[] {
  return new ReferenceCheck(read, surroundings, rules, issues).check();
}

const NOT_IN_CONDITIONS = {
  why: 'what a condition looks at is shown',
  hint: "Look at it in the step's script.",
};
/** Of a reference; names of resources and outputs are far shorter, and each of its dots may end a name. */
const MAX_LENGTH = 500;

class ReferenceCheck {
  private readonly names: KnownNames;
  private readonly stepNames: readonly string[];
  private readonly variables: ReadonlySet<string>;
  private readonly open = new Map<string, OpenReference>();

  constructor(
    private readonly read: ReadWorkflow,
    private readonly surroundings: Surroundings,
    private readonly rules: Rules,
    private readonly issues: DocumentIssue[],
  ) {
    const { steps } = read.workflow;
    this.stepNames = steps.map(({ name }) => name).filter((name) => name !== '');
    this.variables = variablesOf(read.workflow);
    this.names = new KnownNames(
      steps.map(({ name }) => name),
      this.variables,
      surroundings.parameters,
      surroundings.document,
      beforeIn(steps),
      surroundings.secretFault,
    );
  }

  check(): OpenReference[] {
    const { workflow, places } = this.read;
    workflow.steps.forEach((step, index) => this.checkStep(step, index));
    this.checkValue(workflow.outputs, places.part('outputs'), {});
    for (const { at, reference } of referencesInValue(workflow.variables ?? {})) {
      const hint = "Use the reference where it is needed, or let a step set the variable with 'setVariables'.";
      this.note(places.part('variables', ...at), reference.offset, `${reference.text} is not filled in here`, hint);
    }
    return [...this.open.values()];
  }

  private checkStep(step: StepDefinition, index: number): void {
    const { places } = this.read;
    for (const field of ['if', 'unless'] as const) {
      const text = step[field];
      if (text !== undefined) this.checkCondition(text, step, index, places.step(index, [field]));
    }
    const scripts = this.rules.scriptsOf(step.type);
    const secret = this.rules.secretsOf?.(step.type, step.config);
    const elsewhere = secret?.hint === undefined ? {} : { secrets: { hint: secret.hint } };
    for (const [field, value] of Object.entries(step.config)) {
      const path = places.step(index, ['config', field]);
      const takesSecrets = scripts.includes(field) || secret?.fields.includes(field);
      const place = { step: index, ...(takesSecrets ? { secrets: true as const } : elsewhere) };
      if (scripts.includes(field) && typeof value === 'string') this.checkScript(value, path, place);
      else this.checkValue(value, path, place);
    }
    for (const [name, value] of Object.entries(step.env)) {
      // Such a variable is set by env(1), on its command line.
      const secrets = isSetByEnv(name) ? { hint: 'Choose another name for the variable.' } : true;
      this.checkValue(value, places.step(index, ['env', name]), { step: index, secrets });
    }
    this.checkValue(step.outputFile, places.step(index, ['outputFile']), { step: index });
    this.checkValue(step.setVariables, places.step(index, ['setVariables']), { step: index, own: true });
  }

  private checkValue(value: unknown, path: DocumentPath, whose: ReferencePlace): void {
    for (const { at, reference } of referencesInValue(value)) {
      this.checkPath(reference.path, reference.text, [...path, ...at], reference.offset, whose);
    }
  }

  /** In a script only those count that bash would expand; the others are problems of their own, or no references. */
  private checkScript(script: string, path: DocumentPath, whose: ReferencePlace): void {
    const { variables, problems } = prepareScript(script);
    for (const { offset, message, hint } of problems) this.note(path, offset, message, hint);
    for (const reference of Object.values(variables)) {
      const text = `\${${reference.join('.')}}`;
      this.checkPath(reference, text, path, Math.max(0, script.indexOf(text)), whose);
    }
  }

  private checkCondition(text: string, step: StepDefinition, index: number, path: DocumentPath): void {
    try {
      for (const reference of parseExpression(text, this.stepNames).references) {
        const written = reference.kind === 'variable' ? reference.name : reference.path.join('.');
        const offset = Math.max(0, text.indexOf(written));
        if (reference.kind === 'variable') this.checkVariable(written, step, path, offset);
        else {
          const place = { step: index, condition: true, secrets: NOT_IN_CONDITIONS };
          this.checkPath(reference.path, written, path, offset, place);
        }
      }
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      this.note(path, error.offset, `'${String(path.at(-1))}' is no condition: ${error.message}`, error.hint);
    }
  }

  private checkVariable(name: string, { env }: StepDefinition, path: DocumentPath, offset: number): void {
    if (referencesInValue(env[name] ?? '').some(({ reference }) => reference.path[0] === SECRETS)) {
      const { why, hint } = NOT_IN_CONDITIONS;
      this.note(path, offset, `'$${name}' holds a secret: ${why}`, hint);
      return;
    }
    if (Object.hasOwn(env, name) || this.variables.has(name)) return;
    const meant = this.names.suggest(name, [...Object.keys(env), ...this.variables]);
    const hint = meant ? `Did you mean '$${meant}'?` : "Add it to the step's 'env' or to the workflow's 'variables'.";
    const message = `'$${name}' has no value: neither the step's env nor the workflow's variables have it`;
    this.note(path, offset, message, hint);
  }

  private checkPath(
    reference: readonly string[],
    written: string,
    path: DocumentPath,
    offset: number,
    whose: ReferencePlace,
  ): void {
    if (this.issues.length > MAX_COUNTED) return;
    if (written.length > MAX_LENGTH) {
      this.note(path, offset, `A reference is longer than ${MAX_LENGTH} characters`, 'Nothing has such a name.');
      return;
    }
    this.noteOpen(reference, whose);
    const fault = this.names.faultOf(reference, whose);
    if (!fault) return;
    const verdict = fault.refused ? 'is refused' : 'refers to nothing';
    this.note(path, offset, `'${written}' ${verdict}: ${fault.why}`, fault.hint);
  }

  private noteOpen(path: readonly string[], whose: ReferencePlace): void {
    if (this.surroundings.document || !this.names.isOfDocument(path, whose)) return;
    const step = whose.step === undefined ? undefined : this.read.workflow.steps[whose.step]!.name;
    this.open.set(JSON.stringify([step, path]), { ...(step === undefined ? {} : { step }), path });
  }

  private note(path: DocumentPath, within: number, message: string, hint: string | undefined): void {
    if (this.issues.length > MAX_COUNTED) return;
    // A place inside a text costs a search in it; more than are shown are not looked for.
    const exact = this.issues.length < LIMITS.problems ? { within } : {};
    this.issues.push({ path, ...exact, message, ...(hint === undefined ? {} : { hint }) });
  }
}

/** Declared, or set by some step. */
function variablesOf({ variables = {}, steps }: Workflow): Set<string> {
  return new Set([...Object.keys(variables), ...steps.flatMap((step) => Object.keys(step.setVariables ?? {}))]);
}

/** Where the steps have no order, which is told elsewhere, nothing is known to come too late. */
function beforeIn(steps: readonly StepDefinition[]): (other: number, step: number) => boolean {
  let known: Ancestry | 'nothing' | undefined;
  return (other, step) => {
    known ??= isDag(steps) && namedOrder(steps).problems.length > 0 ? 'nothing' : new Ancestry(planOf(steps));
    return known === 'nothing' || known.isBefore(other, step);
  };
}
