import { dirname, extname, relative, resolve, sep } from 'node:path';
import { MAX_ERRORS, Problem, type ProblemItem } from '../common/problem/problem.js';
import { inOrder } from '../common/yaml/document-errors.js';
import { type DocumentIssue, toItem } from '../common/yaml/document-issue.js';
import { parseDocuments } from '../common/yaml/parse-documents.js';
import type { ParsedDocument } from '../common/yaml/parsed-document.js';
import { FileRefused, readCatalogueFile } from './read-catalogue-file.js';

/** The files of one catalogue: each is read once, and all that is wrong in them is collected. */
export class CatalogueFiles {
  readonly faults: ProblemItem[] = [];
  private readonly known = new Map<string, Promise<readonly ParsedDocument[] | undefined>>();

  /**
   * `catalogue` is the file that names the others; or beside which they are, where a caller's text names them: `closed` are
   * then the folders from which nothing is read for it.
   */
  constructor(
    readonly catalogue: string,
    private readonly closed?: readonly string[],
  ) {}

  /** Whether what is in the files may be told. To a caller it may not: they need not be workflows at all. */
  get mayQuote(): boolean {
    return this.closed === undefined;
  }

  /** There is more wrong than anybody is told: no reason to read on. */
  get full(): boolean {
    return this.faults.length >= MAX_ERRORS;
  }

  /** The documents of a file; undefined, and noted with `fix`, where it cannot be read. */
  documents(file: string, fix: string): Promise<readonly ParsedDocument[] | undefined> {
    let documents = this.known.get(file);
    if (documents === undefined) this.known.set(file, (documents = this.read(file, fix)));
    return documents;
  }

  /** The documents in a text that came from elsewhere; it has no file. */
  parse(body: Buffer, file?: string): readonly ParsedDocument[] | undefined {
    return this.noting(file, () => parseDocuments(body));
  }

  /**
   * Where a workflow file is that the catalogue names. Only YAML files below the catalogue's own folder: what a catalogue
   * can name is what its owner put beside it.
   */
  locate(named: string): string | undefined {
    const folder = dirname(resolve(this.catalogue));
    const target = resolve(folder, named);
    const isYaml = ['.yaml', '.yml'].includes(extname(target));
    return !isYaml || relative(folder, target).split(sep)[0] === '..' ? undefined : target;
  }

  note(file: string | undefined, document: ParsedDocument, issues: readonly DocumentIssue[]): void {
    // Columns are counted: in one long line, of many issues, that would take minutes.
    const first = issues
      .map((issue) => ({ issue, offset: document.offsetOf(issue.path, issue.part, issue.within) }))
      .sort((a, b) => a.offset - b.offset)
      .slice(0, Math.max(0, MAX_ERRORS - this.faults.length));
    const items = inOrder(first.map(({ issue }) => toItem(document, issue)));
    this.add(file, this.shown(file, items));
  }

  /** What `action` gives; where it throws a Problem, its errors are noted. */
  noting<T>(file: string | undefined, action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const items = error.errors.length > 0 ? error.errors : [{ message: error.detail.replace(/\.$/, '') }];
      this.add(file, this.shown(file, items));
      return undefined;
    }
  }

  /** Of a file that the caller has not sent, only where something is wrong: what it is would quote it. */
  private shown(file: string | undefined, items: readonly ProblemItem[]): readonly ProblemItem[] {
    if (file === undefined || this.mayQuote) return items;
    const message = 'something is wrong here';
    const hint = 'Send the text of this file to be told what it is.';
    return items.map(({ line, column }) => ({
      ...(line === undefined ? {} : { line }),
      ...(column === undefined ? {} : { column }),
      message,
      hint,
    }));
  }

  private add(file: string | undefined, items: readonly ProblemItem[]): void {
    this.faults.push(...items.map((item) => (file === undefined ? item : { file, ...item })));
  }

  private async read(file: string, fix: string): Promise<readonly ParsedDocument[] | undefined> {
    try {
      const bounds = this.closed && { catalogue: this.catalogue, closed: this.closed };
      return this.parse(await readCatalogueFile(file, bounds), file);
    } catch (error) {
      if (error instanceof FileRefused) {
        this.add(file, [{ message: error.message, hint: fix }]);
        return undefined;
      }
      const { code } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      this.add(file, [{ message: `cannot be read (${code})`, hint: fix }]);
      return undefined;
    }
  }
}
