import { SettingsError } from './config/load-settings.js';
import { CatalogueError } from './golden-paths/golden-path.js';

/** With pg's own words where a connection ends before it begins, the ways in which a database is not there. */
const UNREACHABLE = /^(ECONNREFUSED|ECONNRESET|ENOTFOUND|ETIMEDOUT|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/;

/** One clear line, with the fix, for what keeps the service from starting. */
export function explainStartError(error: unknown): string {
  if (error instanceof SettingsError) return `Turnpike cannot start: ${error.message.split('\n').join('\n  and ')}`;
  if (error instanceof CatalogueError) return ['Turnpike cannot start:', ...error.lines].join('\n  ');
  const { code, message, address, port } = flatten(error);
  if (code === 'EADDRINUSE') {
    return `Turnpike cannot start: ${address}:${port} is in use. Stop what listens there, or set PORT to another port.`;
  }
  if (code === 'EADDRNOTAVAIL' || code === 'EACCES') {
    return `Turnpike cannot start: it cannot listen on ${address}${port ? `:${port}` : ''} (${code}). Set HOST and PORT to others.`;
  }
  if (UNREACHABLE.test(code ?? '') || message.startsWith('Connection terminated')) {
    return `Turnpike cannot start: the database cannot be reached (${message}). Check DATABASE_URL, and that PostgreSQL runs.`;
  }
  if (code === '08P01' && message.includes('startup parameter')) {
    return (
      `Turnpike cannot start: PgBouncer refuses the connection (${message}). Take that parameter out of DATABASE_URL ` +
      "(and PGOPTIONS) and set it with ALTER ROLE, or name it in PgBouncer's ignore_startup_parameters."
    );
  }
  if (code === '42P05' || code === '26000') {
    return (
      `Turnpike cannot start: ${message}. A pooler in transaction mode seems to stand before PostgreSQL: set ` +
      'DATABASE_POOLER=transaction, or let DATABASE_URL lead to PostgreSQL itself.'
    );
  }
  if (code === '28P01' || code === '28000' || code === '3D000') {
    return `Turnpike cannot start: the database refuses the connection (${message}). Check DATABASE_URL.`;
  }
  return `Turnpike cannot start: ${message}`;
}

function flatten(error: unknown): { code?: string; message: string; address?: string; port?: number } {
  // A connect to a name with several addresses fails with one error for each.
  if (error instanceof AggregateError && error.errors.length > 0) return flatten(error.errors[0]);
  if (error instanceof Error) {
    const { code, address, port } = error as Error & { code?: string; address?: string; port?: number };
    return { code, address, port, message: error.message };
  }
  return { message: String(error) };
}
