import { didYouMean } from '../../common/did-you-mean.js';
import { shorten } from '../../common/yaml/document-path.js';
import { SCOPES } from '../references/scopes.js';
import type { Scope } from '../references/references.js';
import { SECRETS, secretOf } from '../secrets/secret-references.js';

/** Why a reference cannot be followed, and what to do. */
export interface ReferenceFault {
  readonly why: string;
  readonly hint: string;
  /** There is such a thing, but not for this reference. */
  readonly refused?: true;
}

/** Whose reference it is, and whether it stands in a condition. */
export interface ReferencePlace {
  /** The step's position; undefined for the outputs of the workflow, which come after all steps. */
  readonly step?: number;
  readonly condition?: boolean;
  /** In `setVariables` a step knows its own outputs. */
  readonly own?: boolean;
  /** Whether a secret may stand there; where it may not, what to do instead, and what it would come to. */
  readonly secrets?: true | { readonly hint: string; readonly why?: string };
}

/** All that the references of one workflow can refer to, as far as it is known before it runs. */
export class KnownNames {
  private readonly positions: ReadonlyMap<string, number>;
  private suggestions = 0;

  constructor(
    private readonly stepNames: readonly string[],
    private readonly variables: ReadonlySet<string>,
    /** Undefined where it is not known which there are. */
    private readonly parameters: readonly string[] | undefined,
    /** Of the submitted document; undefined where it is not known yet. */
    private readonly document: Scope | undefined,
    private readonly isBefore: (other: number, step: number) => boolean,
    /** What speaks against the use of a secret; undefined where that is not known. */
    private readonly secretFault?: (name: string) => ReferenceFault | undefined,
  ) {
    this.positions = new Map(stepNames.map((name, at) => [name, at]));
  }

  /** Whether only the document can say what is there. Conditions ask whether there is a resource: none is an answer. */
  isOfDocument([first = '']: readonly string[], { condition }: ReferencePlace): boolean {
    return first === 'metadata' || first === 'environment' || (first === 'resources' && !condition);
  }

  /** What is wrong with a path such as `build.version`; undefined where nothing is, or it cannot be known. */
  faultOf(path: readonly string[], place: ReferencePlace): ReferenceFault | undefined {
    const [first = '', ...rest] = path;
    switch (first) {
      case 'parameters':
        if (this.parameters === undefined) return undefined;
        return this.unknown('parameter', rest.join('.'), this.parameters, 'The golden path takes none.');
      case 'workflow':
        return this.unknown('variable of the workflow', rest.join('.'), [...this.variables], ADD_VARIABLE);
      case SECRETS:
        return this.faultOfSecret(path, place);
      case 'metadata':
      case 'environment':
      case 'resources':
        return this.isOfDocument(path, place) ? this.faultOfDocument(path) : undefined;
      default:
        return this.faultOfStep(path, place);
    }
  }

  private faultOfDocument(path: readonly string[]): ReferenceFault | undefined {
    if (this.document === undefined || this.document.lookUp(path) !== undefined) return undefined;
    return { why: 'the document does not have it', hint: `Add '${shorten(path.join('.'), 80)}' to the document.` };
  }

  private faultOfSecret(path: readonly string[], { secrets }: ReferencePlace): ReferenceFault | undefined {
    const secret = secretOf(path);
    if (!secret) {
      const why = 'a secret has a name of letters, digits and "_", and below it there is only its file';
      return { why, hint: 'Write ${secrets.NAME}, or ${secrets.NAME.file} for the path of a file that holds it.' };
    }
    if (secrets !== true) {
      const { hint = IN_ENV, why = 'what stands here is stored, or comes to stand on a command line' } = secrets ?? {};
      return { why, hint, refused: true };
    }
    return this.secretFault?.(secret.name);
  }

  private faultOfStep(path: readonly string[], { step, own }: ReferencePlace): ReferenceFault | undefined {
    const name = this.stepOf(path);
    if (name === undefined) {
      const known = [...SCOPES, ...this.stepNames];
      const meant = this.suggest(path[0] ?? '', known);
      const hint = meant
        ? `Did you mean '${[meant, ...path.slice(1)].join('.')}'?`
        : `Known: ${SCOPES.join(', ')}, and the names of the steps.`;
      return { why: `there is no step '${shorten(path[0] ?? '', 80)}'`, hint };
    }
    const other = this.positions.get(name)!;
    if (step === undefined || (own && other === step) || this.isBefore(other, step)) return undefined;
    if (other === step) return { why: 'a step does not know its own outcome here', hint: 'Use it in a later step.' };
    return {
      why: `step '${name}' does not come before this one`,
      hint: `Move '${name}' up, or name it in 'dependsOn'.`,
    };
  }

  /** Names of steps may have dots of their own. */
  private stepOf(path: readonly string[]): string | undefined {
    for (let dots = path.length - 1; dots > 0; dots--) {
      const name = path.slice(0, dots).join('.');
      if (this.positions.has(name)) return name;
    }
    return undefined;
  }

  private unknown(kind: string, name: string, known: readonly string[], none: string): ReferenceFault | undefined {
    if (known.includes(name)) return undefined;
    const meant = this.suggest(name, known);
    const all = known.length > 0 ? `There are: ${shorten(known.slice(0, 20).join(', '), 200)}.` : none;
    const why = `there is no ${kind} '${shorten(name, 80)}'`;
    return { why, hint: meant ? `Did you mean '${meant}'?` : all };
  }

  /** To look for what was meant costs more than to find that something is wrong. */
  suggest(name: string, known: readonly string[]): string | undefined {
    return this.suggestions++ < MAX_SUGGESTIONS ? didYouMean(name, known) : undefined;
  }
}

const MAX_SUGGESTIONS = 20;
const IN_ENV = "Put it into the step's env, and the name of the variable where it is needed.";
const ADD_VARIABLE = "Declare it in the workflow's 'variables', or let a step set it with 'setVariables'.";
