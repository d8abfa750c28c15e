/** Why there is no embedded PostgreSQL: one clear line for an operator, with what, where and what to do. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
}
