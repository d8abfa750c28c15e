/**
 * All names of applications that have tasks, read off the index one probe each, as the rows `known (name)` of a recursive
 * query; the last row is null.
 */
export const knownNames = (column: 'app_name' | 'workflow_name') => `known AS (
    (SELECT ${column} AS name FROM queue_tasks ORDER BY ${column} LIMIT 1)
    UNION ALL
    SELECT (SELECT q.${column} FROM queue_tasks q WHERE q.${column} > known.name ORDER BY q.${column} LIMIT 1)
    FROM known WHERE name IS NOT NULL
  )`;

/** Whether the name fits one of the patterns, which are those of LIKE: see `toLike`. */
export const isOneOf = (column: string, patterns: string) => `${column} LIKE ANY (${patterns}::text[])`;
