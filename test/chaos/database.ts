import { cleanUp } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

/** One database for the tests of a file; at their end the processes they have left end too. */
export function useDatabase(): Pick<TestDatabase, 'url' | 'query'> {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });
  return {
    get url() {
      return database.url;
    },
    query: (sql, params) => database.query(sql, params),
  };
}
