import { shorten } from '../yaml/document-path.js';
import { ERROR_CODES, type ErrorCode } from './error-codes.js';

/** More are noise: nobody corrects them one by one. */
export const MAX_ERRORS = 100;
/** What is said of an input stays short, whatever the input was. */
const MAX_PATH = 500;
const MAX_SENTENCE = 1_000;

/** One thing that is wrong in the input: where, what, and what to do about it. */
export interface ProblemItem {
  /** Where the input is several files. */
  readonly file?: string;
  /** The place in the data, e.g. `containers.web.image` or `workflow.steps[0].type`, or a parameter's name. */
  readonly path?: string;
  /** The place in the text, both from 1; a column counts characters. */
  readonly line?: number;
  readonly column?: number;
  readonly message: string;
  readonly hint?: string;
}

/** The body of an error answer, `application/problem+json` (RFC 9457). */
export interface ProblemBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly request_id: string;
  readonly errors?: readonly ProblemItem[];
}

export interface ProblemOptions {
  readonly errors?: readonly ProblemItem[];
  /** Sent with the answer, e.g. `Retry-After`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For the log; never sent. */
  readonly cause?: unknown;
}

/** An error whose every word may be shown to the caller. What may not be shown belongs into `cause`. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly detail: string;
  readonly errors: readonly ProblemItem[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    readonly code: ErrorCode,
    detail: string,
    options: ProblemOptions = {},
  ) {
    super(shorten(detail, 2 * MAX_SENTENCE), options.cause === undefined ? undefined : { cause: options.cause });
    this.status = ERROR_CODES[code].status;
    this.detail = this.message;
    this.errors = (options.errors ?? []).slice(0, MAX_ERRORS).map(shortened);
    this.headers = options.headers ?? {};
  }

  toBody(requestId: string): ProblemBody {
    return {
      type: `urn:turnpike:error:${this.code}`,
      title: ERROR_CODES[this.code].title,
      status: this.status,
      code: this.code,
      detail: this.detail,
      request_id: requestId,
      ...(this.errors.length > 0 ? { errors: this.errors } : {}),
    };
  }
}

function shortened(item: ProblemItem): ProblemItem {
  const { path = '', message, hint = '' } = item;
  if (path.length <= MAX_PATH && message.length <= MAX_SENTENCE && hint.length <= MAX_SENTENCE) return item;
  return {
    ...item,
    ...(path === '' ? {} : { path: shorten(path, MAX_PATH) }),
    message: shorten(message, MAX_SENTENCE),
    ...(hint === '' ? {} : { hint: shorten(hint, MAX_SENTENCE) }),
  };
}
